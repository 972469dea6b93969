// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"

	"github.com/dwelltrace/dwell/correlate/event"
)

// maxShape is how many events a ping has at most that has a shape.
const maxShape = 64

// shape is what distinguishes a ping from others of the same flow on the same way, apart from what
// each of its events says: of events with equal numbers, which are of one buffer and of one CPU.
// Times are no part of it, because they are only compared with each other, and in a shape each is
// later than the one before.
type shape struct {
	n int
	// local is set if the trace's IDs are only valid on this host.
	local         bool
	buffers, cpus [maxShape]uint8
	// times are those of the events.
	times [maxShape]int64
	// hash is the same for pings that are alike.
	hash uint64
}

// noBuffer is the number of events that do not say in which buffer the packet was.
const noBuffer = maxShape

// of makes s the shape of a ping, and reports whether it has one. It has none if it was closed
// early, if its events did not come in order, or if something was done to its packets.
func (s *shape) of(p *ping) bool {
	events := p.events
	if len(events) == 0 || len(events) > maxShape || p.cause != "" {
		return false
	}
	s.n, s.local, s.hash = len(events), p.onlyHere(), fnvOffset
	for i := range events {
		ev := &events[i]
		s.times[i] = int64(ev.Time)
		if i > 0 && s.times[i] <= s.times[i-1] || ev.Hook.Acts() {
			return false
		}
		s.buffers[i], s.cpus[i] = bufferOf(events, i, &s.buffers), cpuOf(events, i, &s.cpus)
		s.mix(uint64(ev.Hook) | uint64(ev.Type)<<8 | uint64(ev.TTL)<<16 | uint64(s.buffers[i])<<24 | uint64(s.cpus[i])<<32 | uint64(ev.ID)<<40)
		s.mix(uint64(ev.NetNS) | uint64(ev.IfIndex)<<32)
	}
	return true
}

// The constants of FNV-1a for 64 bits (Fowler, Noll, Vo), here over words instead of bytes: the hash only says
// where to look.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

func (s *shape) mix(word uint64) { s.hash = (s.hash ^ word) * fnvPrime }

// bufferOf returns the number of the buffer of the event at index i: that of the first event in it.
func bufferOf(events []event.Event, i int, known *[maxShape]uint8) uint8 {
	buffer := events[i].SKB
	if buffer == 0 {
		return noBuffer
	}
	for j := i - 1; j >= 0; j-- { // mostly it is that of the one before
		if events[j].SKB == buffer {
			return known[j]
		}
	}
	return uint8(i)
}

// cpuOf returns the number of the CPU of the event at index i: that of the first event on it.
func cpuOf(events []event.Event, i int, known *[maxShape]uint8) uint8 {
	for j := i - 1; j >= 0; j-- {
		if events[j].CPU == events[i].CPU {
			return known[j]
		}
	}
	return uint8(i)
}

// same reports whether two shapes are the same.
func (s *shape) same(t *shape) bool {
	return s.n == t.n && s.local == t.local &&
		bytes.Equal(s.buffers[:s.n], t.buffers[:t.n]) && bytes.Equal(s.cpus[:s.n], t.cpus[:t.n])
}

// alike reports whether two events say the same, apart from what a shape says of them, and from the
// content, which decides nothing but the trace's ID.
func alike(a, b *event.Event) bool {
	return a.Hook == b.Hook && a.Type == b.Type && a.Flags == b.Flags && a.TTL == b.TTL && a.Depth == b.Depth &&
		a.NetNS == b.NetNS && a.IfIndex == b.IfIndex && a.Peer == b.Peer && a.Code == b.Code &&
		a.ID == b.ID && a.PayloadLen == b.PayloadLen && a.Threshold == b.Threshold &&
		a.Src == b.Src && a.Dst == b.Dst && (a.Depth == 0 || a.Tunnels == b.Tunnels)
}
