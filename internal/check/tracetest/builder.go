// SPDX-License-Identifier: Apache-2.0

package tracetest

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// builder lays spans one after another; those that begin adds are parents of what
// is added until the matching end.
type builder struct {
	t      *trace.Trace
	now    int64
	open   []int
	packet trace.Packet
	// shared is the packet of the span that was added last.
	shared *trace.Packet
}

func newBuilder(seq uint16) *builder {
	b := &builder{
		now:    Start + int64(seq)*1_000_000_000,
		packet: trace.Packet{Src: guestAddr, Dst: outsideAddr},
		t: &trace.Trace{
			ID:   trace.ID{0: 0xd3, 1: 0x11, 15: 1},
			Ping: trace.Ping{Src: guestAddr, Dst: outsideAddr, ID: 4711, Seq: seq, PayloadLen: 56},
		},
	}
	binary.BigEndian.PutUint16(b.t.ID[8:], seq)
	b.begin(trace.KindPing, guestEnd)
	b.t.Spans[0].Device = nil
	return b
}

func (b *builder) begin(kind trace.Kind, d *trace.Device) {
	at := b.add(kind, d)
	if kind.Journey() {
		b.t.Spans[at].Device = nil
	}
	b.open = append(b.open, at)
}

func (b *builder) end() {
	last := len(b.open) - 1
	b.t.Spans[b.open[last]].End = b.now
	b.open = b.open[:last]
}

// leaf adds a span of the given duration in nanoseconds. The result is good until
// the next span is added.
func (b *builder) leaf(kind trace.Kind, d, peer *trace.Device, ns int64) *trace.Span {
	s := &b.t.Spans[b.add(kind, d)]
	s.Leaf = true
	s.Peer = peer
	b.now += ns
	s.End = b.now
	return s
}

func (b *builder) add(kind trace.Kind, d *trace.Device) int {
	s := trace.Span{Kind: kind, Start: b.now, NetNS: d.NetNS, Device: d, Packet: b.share()}
	binary.BigEndian.PutUint32(s.ID[:], uint32(b.t.Ping.Seq)+1)
	binary.BigEndian.PutUint32(s.ID[4:], uint32(len(b.t.Spans))+1)
	parent := trace.NoParent
	if len(b.open) > 0 {
		parent = b.open[len(b.open)-1]
		k := b.t.Spans[parent].Kind
		s.Inner = k == trace.KindHypervisor || k == trace.KindDevice
	}
	return b.t.Add(parent, s)
}

// share returns the packet as it is now, for a span: the same as long as it does not change.
func (b *builder) share() *trace.Packet {
	if b.shared == nil || *b.shared != b.packet {
		now := b.packet
		b.shared = &now
	}
	return b.shared
}

// finish ends the root.
func (b *builder) finish(o trace.Outcome) *trace.Trace {
	for len(b.open) > 0 {
		b.end()
	}
	b.t.Outcome = o
	if o == trace.Dropped {
		b.t.Root().Error = b.t.DropReason
	}
	return b.t
}
