// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"unsafe"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Flags of the record that are not the event's.
const (
	encapsulated = event.Flags(kernelRecordFlagFLAG_ENCAPSULATED)
	outerIPv6    = event.Flags(kernelRecordFlagFLAG_OUTER_IPV6)
)

// valid reports whether a record has the size that its flags ask for, a hook of the table
// and a known type.
func valid(raw []byte, hooks *event.Hooks) bool {
	if len(raw) < int(unsafe.Sizeof(kernelRecord4{})) {
		return false
	}
	h := head(raw)
	return len(raw) == recordSize(event.Flags(h.Flags)) && known(h, hooks)
}

func head(raw []byte) *kernelRecordHead {
	return (*kernelRecordHead)(unsafe.Pointer(unsafe.SliceData(raw)))
}

// decode turns the valid record that raw begins with into an event, and returns its size.
//
// The record is read in place through the types generated from the C structs:
// both sides are the same machine.
func decode(raw []byte, e *event.Event) int {
	h := head(raw)
	flags := event.Flags(h.Flags)
	decodeHead(h, e)
	base := unsafe.Pointer(h)
	e.Tunnels, e.Depth = [event.MaxTunnels]event.Tunnel{}, 0
	switch flags & (event.IPv6 | encapsulated) {
	case 0:
		decodeAddr4(&(*kernelRecord4)(base).Addr, e)
	case event.IPv6:
		decodeAddr6(&(*kernelRecord6)(base).Addr, e)
	case encapsulated:
		r := (*kernelRecord4Tunnel)(base)
		decodeAddr4(&r.Addr, e)
		decodeTunnel(&r.Outer, e)
	case event.IPv6 | encapsulated:
		r := (*kernelRecord6Tunnel)(base)
		decodeAddr6(&r.Addr, e)
		decodeTunnel(&r.Outer, e)
	}
	return recordSize(flags)
}

func recordSize(f event.Flags) int {
	switch f & (event.IPv6 | encapsulated) {
	case 0:
		return int(unsafe.Sizeof(kernelRecord4{}))
	case event.IPv6:
		return int(unsafe.Sizeof(kernelRecord6{}))
	case encapsulated:
		return int(unsafe.Sizeof(kernelRecord4Tunnel{}))
	default:
		return int(unsafe.Sizeof(kernelRecord6Tunnel{}))
	}
}

func known(h *kernelRecordHead, hooks *event.Hooks) bool {
	return hooks.Known(event.Hook(h.Hook)) &&
		(h.Type == uint8(event.EchoRequest) || h.Type == uint8(event.EchoReply))
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
	e.Hook = event.Hook(h.Hook)
	e.Type = event.Type(h.Type)
	e.Flags = event.Flags(h.Flags) &^ (encapsulated | outerIPv6)
	e.CPU = h.Cpu
	e.Payload = h.Payload
}

func decodeAddr4(a *kernelAddresses4, e *event.Event) {
	e.Src = event.Address{10: 0xff, 11: 0xff, 12: a.Src[0], 13: a.Src[1], 14: a.Src[2], 15: a.Src[3]}
	e.Dst = event.Address{10: 0xff, 11: 0xff, 12: a.Dst[0], 13: a.Dst[1], 14: a.Dst[2], 15: a.Dst[3]}
}

func decodeAddr6(a *kernelAddresses6, e *event.Event) {
	e.Src, e.Dst = a.Src, a.Dst
}

func decodeTunnel(t *kernelTunnel, e *event.Event) {
	e.Tunnels[0], e.Depth = event.Tunnel{Src: t.Src, Dst: t.Dst, ID: t.Vni, Type: event.VXLAN}, 1
}
