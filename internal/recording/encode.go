// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/correlate/event"
)

// The bits of an event's mask: first what changes most from one event to the next, so
// that the mask is mostly one byte long.
const (
	changedHook = 1 << iota
	changedIfIndex
	changedNetNS
	changedFlags
	changedSKB
	changedPeer
	changedCPU
	changedCode
	changedTTL
	changedType
	changedID
	changedSeq
	changedPayloadLen
	changedPayload
	changedSrc
	changedDst
	changedDepth
	changedOuter
	changedInner
	changedAction
	changedRewrite
	changedThreshold
)

// eventFields returns the names of the mask's bits, from the lowest.
func eventFields() []string {
	return []string{
		"hook", "ifindex", "netns", "flags", "skb", "peer", "cpu", "code", "ttl", "type",
		"id", "seq", "payload_size", "payload", "src", "dst", "depth", "tunnel", "tunnel2", "action",
		"rewrite", "threshold",
	}
}

// bit returns mask if it is to be set.
func bit(set bool, mask uint64) uint64 {
	if set {
		return mask
	}
	return 0
}

// changes returns in which fields two events differ, but for their time.
func changes(a, b *event.Event) uint64 {
	return bit(a.Hook != b.Hook, changedHook) |
		bit(a.IfIndex != b.IfIndex, changedIfIndex) |
		bit(a.NetNS != b.NetNS, changedNetNS) |
		bit(a.Flags != b.Flags, changedFlags) |
		bit(a.SKB != b.SKB, changedSKB) |
		bit(a.Peer != b.Peer, changedPeer) |
		bit(a.CPU != b.CPU, changedCPU) |
		bit(a.Code != b.Code, changedCode) |
		bit(a.TTL != b.TTL, changedTTL) |
		bit(a.Type != b.Type, changedType) |
		bit(a.ID != b.ID, changedID) |
		bit(a.Seq != b.Seq, changedSeq) |
		bit(a.PayloadLen != b.PayloadLen, changedPayloadLen) |
		bit(a.Payload != b.Payload, changedPayload) |
		bit(a.Src != b.Src, changedSrc) |
		bit(a.Dst != b.Dst, changedDst) |
		bit(a.Depth != b.Depth, changedDepth) |
		bit(a.Tunnels[0] != b.Tunnels[0], changedOuter) |
		bit(a.Tunnels[1] != b.Tunnels[1], changedInner) |
		bit(a.Action != b.Action, changedAction) |
		bit(a.Rewrite != b.Rewrite, changedRewrite) |
		bit(a.Threshold != b.Threshold, changedThreshold)
}

// appendEvent appends the record of ev as its difference to prev.
func appendEvent(b []byte, prev, ev *event.Event) []byte {
	mask := changes(prev, ev)
	b = binary.AppendUvarint(append(b, byte(opEvent)), mask)
	b = binary.AppendVarint(b, int64(ev.Time-prev.Time))
	if mask&changedHook != 0 {
		b = append(b, byte(ev.Hook))
	}
	if mask&changedIfIndex != 0 {
		b = binary.AppendUvarint(b, uint64(ev.IfIndex))
	}
	if mask&changedNetNS != 0 {
		b = binary.AppendVarint(b, int64(ev.NetNS)-int64(prev.NetNS))
	}
	if mask&changedFlags != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Flags))
	}
	if mask&changedSKB != 0 {
		b = binary.AppendVarint(b, int64(ev.SKB-prev.SKB))
	}
	if mask&changedPeer != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Peer.NetNS))
		b = binary.AppendUvarint(b, uint64(ev.Peer.IfIndex))
	}
	if mask&changedCPU != 0 {
		b = binary.AppendUvarint(b, uint64(ev.CPU))
	}
	if mask&changedCode != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Code))
	}
	if mask >= changedTTL {
		b = appendPacket(b, mask, ev)
	}
	return b
}

// appendPacket appends the fields that distinguish one packet from another.
func appendPacket(b []byte, mask uint64, ev *event.Event) []byte {
	if mask&changedTTL != 0 {
		b = append(b, ev.TTL)
	}
	if mask&changedType != 0 {
		b = append(b, byte(ev.Type))
	}
	if mask&changedID != 0 {
		b = binary.AppendUvarint(b, uint64(ev.ID))
	}
	if mask&changedSeq != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Seq))
	}
	if mask&changedPayloadLen != 0 {
		b = binary.AppendUvarint(b, uint64(ev.PayloadLen))
	}
	if mask&changedPayload != 0 {
		b = append(b, ev.Payload[:]...)
	}
	if mask&changedSrc != 0 {
		b = append(b, ev.Src[:]...)
	}
	if mask&changedDst != 0 {
		b = append(b, ev.Dst[:]...)
	}
	if mask >= changedDepth {
		b = appendAround(b, mask, ev)
	}
	return b
}

// appendAround appends what is around the packet, and what was done to it.
func appendAround(b []byte, mask uint64, ev *event.Event) []byte {
	if mask&changedDepth != 0 {
		b = append(b, ev.Depth)
	}
	if mask&changedOuter != 0 {
		b = appendTunnel(b, &ev.Tunnels[0])
	}
	if mask&changedInner != 0 {
		b = appendTunnel(b, &ev.Tunnels[1])
	}
	if mask&changedAction != 0 {
		a := &ev.Action
		for _, v := range [...]uint32{uint32(a.Deed), uint32(a.Verdict), uint32(a.Reason), a.Tenant, a.Rule, a.To, uint32(a.Place), a.Nanoseconds} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	if mask&changedRewrite != 0 {
		b = appendRewrite(b, &ev.Rewrite)
	}
	if mask&changedThreshold != 0 {
		b = binary.AppendUvarint(b, uint64(ev.Threshold))
	}
	return b
}

func appendRewrite(b []byte, r *event.Rewrite) []byte {
	b = append(append(b, r.Src[:]...), r.Dst[:]...)
	b = append(append(b, r.To[:]...), r.From[:]...)
	b = append(b, r.TTL, byte(r.Flags))
	for _, v := range [...]uint32{uint32(r.ID), r.LeaseMilliseconds, r.Peer.NetNS, r.Peer.IfIndex} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func appendTunnel(b []byte, t *event.Tunnel) []byte {
	b = append(append(b, t.Src[:]...), t.Dst[:]...)
	return append(binary.AppendUvarint(b, uint64(t.ID)), byte(t.Type))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
