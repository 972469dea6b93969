// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"encoding/binary"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// packets makes packets for spans, which share them: most spans have that of the one before, and those of
// one program's pings have the same few. It remembers what it made, at most one packet a slot.
type packets struct {
	slots [256]madePacket
	// last is the slot of the last answer.
	last *madePacket
}

// madePacket is a packet and what it was made of.
type madePacket struct {
	src, dst event.Address
	depth    uint8
	// outer is the outermost tunnel if depth is not 0.
	outer  event.Tunnel
	packet *trace.Packet
}

// at returns what the headers say at an event. It is not to be changed.
func (p *packets) at(ev *event.Event) *trace.Packet { return p.between(&ev.Src, &ev.Dst, ev) }

// between is at, but with other addresses of the echo.
func (p *packets) between(src, dst *event.Address, ev *event.Event) *trace.Packet {
	if p.last != nil && p.last.is(src, dst, ev) {
		return p.last.packet
	}
	p.last = &p.slots[packetSlot(src, dst, ev)]
	if p.last.packet == nil || !p.last.is(src, dst, ev) {
		p.last.make(src, dst, ev)
	}
	return p.last.packet
}

func (m *madePacket) is(src, dst *event.Address, ev *event.Event) bool {
	return m.src == *src && m.dst == *dst && m.depth == ev.Depth && (m.depth == 0 || m.outer == ev.Tunnels[0])
}

// make forgets what was made before, whose spans keep it.
func (m *madePacket) make(src, dst *event.Address, ev *event.Event) {
	m.src, m.dst, m.depth, m.outer = *src, *dst, ev.Depth, ev.Tunnels[0]
	m.packet = &trace.Packet{Src: src.Addr(), Dst: dst.Addr()}
	if !ev.Encapsulated() {
		return
	}
	m.packet.Tunnel, m.packet.TunnelID, m.packet.Depth = m.outer.Type.String(), m.outer.ID, m.depth
	if m.outer.Src != (event.Address{}) {
		m.packet.OuterSrc, m.packet.OuterDst = m.outer.Src.Addr(), m.outer.Dst.Addr()
	}
}

// packetSlot returns where in packets a packet is. The golden ratio, by which 2^64 is divided, spreads what is
// alike: requests and replies, NAT's addresses, and one after the other in a network.
func packetSlot(src, dst *event.Address, ev *event.Event) uint8 {
	low := func(a *event.Address) uint64 { return uint64(binary.BigEndian.Uint32(a[12:])) }
	mixed := low(src)<<32 | low(dst)
	if ev.Encapsulated() {
		mixed ^= uint64(ev.Tunnels[0].ID)<<16 + uint64(ev.Depth)
	}
	return uint8(mixed * 0x9e3779b97f4a7c15 >> 56)
}
