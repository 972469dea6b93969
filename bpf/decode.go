// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"unsafe"

	"github.com/dwelltrace/dwell/correlate/event"
)

const (
	headSize   = int(unsafe.Sizeof(kernelRecordHead{}))
	endSize    = int(unsafe.Sizeof(kernelRecordEnd{}))
	hookOffset = unsafe.Offsetof(kernelRecordHead{}.Hook)
	// widestRecord is the size of a record with room for all parts.
	widestRecord = 272

	allParts      = kernelRecordPartPART_REWRITE<<1 - 1
	allFlags      = event.Encrypted<<1 - 1
	allRewrites   = event.RewriteDecapsulated<<1 - 1
	lastTunnel    = uint8(event.ICMPError)
	partAddresses = kernelRecordPartPART_ADDRESSES4 | kernelRecordPartPART_ADDRESSES6
	partTunnels   = kernelRecordPartPART_TUNNEL | kernelRecordPartPART_TUNNEL2
)

// It does not compile if widestRecord is wrong.
var _ [widestRecord]byte = [unsafe.Sizeof(kernelRewriteRecord{})]byte{}

// partsSize is the size of each combination of parts, which are at most allParts.
var partsSize = func() (sizes [allParts + 1]int) {
	for bit, size := range map[kernelRecordPart]uintptr{
		kernelRecordPartPART_ADDRESSES4: unsafe.Sizeof(kernelAddresses4{}),
		kernelRecordPartPART_ADDRESSES6: unsafe.Sizeof(kernelAddresses6{}),
		kernelRecordPartPART_TUNNEL:     unsafe.Sizeof(kernelTunnel{}),
		kernelRecordPartPART_TUNNEL2:    unsafe.Sizeof(kernelTunnel{}),
		kernelRecordPartPART_PEER:       unsafe.Sizeof(kernelPeer{}),
		kernelRecordPartPART_ACTION:     unsafe.Sizeof(kernelAction{}),
		kernelRecordPartPART_REWRITE:    unsafe.Sizeof(kernelRewritten{}),
	} {
		for parts := range sizes {
			if kernelRecordPart(parts)&bit != 0 {
				sizes[parts] += int(size)
			}
		}
	}
	return sizes
}()

func head(raw []byte) *kernelRecordHead {
	return (*kernelRecordHead)(unsafe.Pointer(unsafe.SliceData(raw)))
}

// isEnd reports whether a record is that of net_dev_xmit, which refers to another one.
func isEnd(raw []byte) bool {
	return len(raw) == endSize && raw[hookOffset] == uint8(event.NetDevXmit)
}

// valid reports whether a record has the size that its parts ask for, the parts that its
// head asks for, and a hook of the table, a type, and so on, that are known.
func valid(raw []byte, hooks *event.Hooks) bool {
	if len(raw) < headSize {
		return false
	}
	h := head(raw)
	parts := kernelRecordPart(h.Parts)
	if parts > allParts || len(raw) != headSize+partsSize[parts] || len(raw) != 8*int(h.Words) {
		return false
	}
	return known(h, hooks) && parts&^kernelRecordPartPART_REWRITE == partsOf(h, hooks) && validParts(raw, parts)
}

func known(h *kernelRecordHead, hooks *event.Hooks) bool {
	return hooks.Known(event.Hook(h.Hook)) && event.Flags(h.Flags) <= allFlags &&
		h.Type >= uint8(event.EchoRequest) && h.Type <= uint8(event.ReplyError)
}

// partsOf returns the parts that a record with this head must have, besides what its deed may
// have.
func partsOf(h *kernelRecordHead, hooks *event.Hooks) kernelRecordPart {
	parts := kernelRecordPartPART_ADDRESSES4
	if event.Flags(h.Flags).Has(event.IPv6) {
		parts = kernelRecordPartPART_ADDRESSES6
	}
	if event.Flags(h.Flags).Has(event.Paired) {
		parts |= kernelRecordPartPART_PEER
	}
	switch h.Depth {
	case 0:
	case 1:
		parts |= kernelRecordPartPART_TUNNEL
	default:
		parts |= partTunnels
	}
	if hooks.Info(event.Hook(h.Hook)).Acts {
		parts |= kernelRecordPartPART_ACTION
	}
	return parts
}

// validParts reports whether the tunnels and the deed are known ones, and only a redirection
// says what the packet became.
func validParts(raw []byte, parts kernelRecordPart) bool {
	at := headSize + partsSize[parts&partAddresses]
	for range min(int(head(raw).Depth), event.MaxTunnels) {
		if t := part[kernelTunnel](raw, &at).Type; t == uint8(event.NoTunnel) || t > lastTunnel {
			return false
		}
	}
	at += partsSize[parts&kernelRecordPartPART_PEER]
	deed := event.NoDeed
	if parts&kernelRecordPartPART_ACTION != 0 {
		deed = event.Deed(part[kernelAction](raw, &at).Deed)
		if !deed.Known() {
			return false
		}
	}
	return parts&kernelRecordPartPART_REWRITE == 0 ||
		deed == event.Redirect && part[kernelRewritten](raw, &at).Flags <= uint16(allRewrites)
}

// part returns the part of type P that begins at *at, which it moves to the part's end.
// It is read in place: both sides are the same machine.
func part[P any](raw []byte, at *int) *P {
	p := (*P)(unsafe.Pointer(&raw[*at]))
	*at += int(unsafe.Sizeof(*p))
	return p
}

// decode turns the valid record that raw begins with into an event, and returns its size. The event is
// the zero value or what another record was turned into.
func decode(raw []byte, e *event.Event) int {
	h := head(raw)
	forget(e)
	decodeHead(h, e)
	parts, at := kernelRecordPart(h.Parts), headSize
	if parts&kernelRecordPartPART_ADDRESSES6 != 0 {
		decodeAddr6(part[kernelAddresses6](raw, &at), e)
	} else {
		decodeAddr4(part[kernelAddresses4](raw, &at), e)
	}
	if parts < kernelRecordPartPART_TUNNEL {
		return at
	}
	if parts&kernelRecordPartPART_TUNNEL != 0 {
		decodeTunnel(part[kernelTunnel](raw, &at), &e.Tunnels[0])
	}
	if parts&kernelRecordPartPART_TUNNEL2 != 0 {
		decodeTunnel(part[kernelTunnel](raw, &at), &e.Tunnels[1])
	}
	if parts&kernelRecordPartPART_PEER != 0 {
		p := part[kernelPeer](raw, &at)
		e.Peer = event.Place{NetNS: p.Netns, IfIndex: p.Ifindex}
	}
	if parts&kernelRecordPartPART_ACTION != 0 {
		decodeAction(part[kernelAction](raw, &at), &e.Action)
	}
	if parts&kernelRecordPartPART_REWRITE != 0 {
		decodeRewrite(part[kernelRewritten](raw, &at), &e.Rewrite)
	}
	return at
}

// forget clears what only some records have, most of an event's bytes, if the last one had it.
func forget(e *event.Event) {
	if e.Depth > 0 {
		e.Tunnels = [event.MaxTunnels]event.Tunnel{}
	}
	e.Peer = event.Place{}
	if e.Action.Deed != event.NoDeed {
		e.Action, e.Rewrite = event.Action{}, event.Rewrite{}
	}
}

func decodeHead(h *kernelRecordHead, e *event.Event) {
	e.Time = h.Time
	e.SKB = h.Skb
	e.NetNS = h.Netns
	e.IfIndex = h.Ifindex
	e.Code = h.Code
	e.ID = h.Id
	e.Seq = h.Seq
	e.PayloadLen = h.PayloadLen
	e.TTL = h.Ttl
	e.Depth = h.Depth
	e.Hook = event.Hook(h.Hook)
	e.Type = event.Type(h.Type)
	e.Flags = event.Flags(h.Flags)
	e.CPU = h.Cpu
	e.Threshold = h.Threshold
	e.Payload = h.Payload
}

// decodeAddr4 writes words instead of bytes: whoever reads an address next reads all of it, which the
// CPU is slow at when it was just written in parts.
func decodeAddr4(a *kernelAddresses4, e *event.Event) {
	mapAddr4(&e.Src, a.Src)
	mapAddr4(&e.Dst, a.Dst)
}

func mapAddr4(to *event.Address, from [4]byte) {
	const prefix = 0xffff << 32
	binary.BigEndian.PutUint64(to[:8], 0)
	binary.BigEndian.PutUint64(to[8:], prefix|uint64(binary.BigEndian.Uint32(from[:])))
}

func decodeAddr6(a *kernelAddresses6, e *event.Event) {
	e.Src, e.Dst = a.Src, a.Dst
}

func decodeTunnel(t *kernelTunnel, to *event.Tunnel) {
	*to = event.Tunnel{Src: t.Src, Dst: t.Dst, ID: t.Id, Type: event.TunnelType(t.Type)}
}

func decodeAction(a *kernelAction, to *event.Action) {
	*to = event.Action{
		Deed: event.Deed(a.Deed), Verdict: a.Verdict, Reason: a.Reason, Tenant: a.Tenant, Rule: a.Rule, To: a.To,
		Place: event.ActionPlace(a.Place), Nanoseconds: a.Ns,
	}
}

func decodeRewrite(r *kernelRewritten, to *event.Rewrite) {
	*to = event.Rewrite{
		Src: r.Src, Dst: r.Dst, To: [6]byte(r.Macs[:6]), From: [6]byte(r.Macs[6:]), TTL: r.Ttl, ID: r.Id,
		Flags: event.RewriteFlags(r.Flags), LeaseMilliseconds: r.Lease,
		Peer: event.Place{NetNS: r.Netns, IfIndex: r.Ifindex},
	}
}
