// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Two hosts whose tools send the same bytes ping each other at the same time: a request that
// is sent where the other's has arrived is not the other's being sent on.
func TestTwoHostsPingEachOther(t *testing.T) {
	var events []event.Event
	for i, ends := range [][2]dev{{vethA, va}, {va, vethA}} {
		s := newSim()
		s.now += uint64(i) * 350 // the first has arrived when the second is sent
		p := s.request(1)
		p.skb, p.payload, p.length = 0x1000+uint64(i)<<16, [event.PayloadPrefix]byte{'c', 'o', 'n', 's', 't', 'a', 'n', 't'}, 56
		if i == 1 {
			p.src, p.dst = p.dst, p.src
		}
		p.cross(ends[0], ends[1])
		s.now += 1000 // both requests arrive before either is answered
		r := p.reply()
		r.cross(ends[1], ends[0])
		r.deliver(ends[0])
		events = append(events, s.events...)
	}
	slices.SortFunc(events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	traces, stats := run(events, correlate.Options{})
	if len(traces) != 2 || stats.Complete != 2 {
		t.Fatalf("%d traces, %+v\n%v", len(traces), stats, renderAll(traces, stats))
	}
	for _, tr := range traces {
		if tr.Outcome != trace.Complete || tr.Duplicates != 0 || len(tr.Spans) != 13 {
			t.Errorf("%s", render(tr))
		}
	}
}

// What comes late of a ping that is closed does not go into another of the same content,
// which has another identifier and is of another network.
func TestLateCopyOfConstantContent(t *testing.T) {
	constant := [event.PayloadPrefix]byte{'c', 'o', 'n', 's', 't', 'a', 'n', 't'}
	s := newSim()
	p := s.request(1)
	p.payload, p.id = constant, 1
	p.cross(vethA, va)
	r := p.reply()
	r.cross(va, vethA)
	late := r.copy()
	r.deliver(vethA)
	c := collect(correlate.Options{Wall: simWall})
	c.addAll(s.events)
	c.Advance(s.now + uint64(time.Second))
	if len(c.traces) != 1 {
		t.Fatalf("%d traces of the first", len(c.traces))
	}
	s.events, s.now = nil, s.now+uint64(time.Second)
	other := s.request(1)
	other.payload, other.id, other.skb = constant, 2, 0x77000
	other.cross(brovsnsNS, brovsnsBR)
	late.at(vethA, event.SKBCopyDatagramIovec)
	c.addAll(s.events)
	c.Flush()
	if len(c.traces) != 2 || c.Stats().Late != 1 {
		t.Fatalf("%d traces, %+v", len(c.traces), c.Stats())
	}
}

// Two pings that are sent in the same microsecond, with the same sequence number, are two:
// one from a process to its own host, and one from a virtual machine.
func TestTwoInTheSameMicrosecond(t *testing.T) {
	lo := dev{ns: outside, index: 1, name: "lo", flags: event.Loopback}
	own := func(s *sim) {
		p := s.request(1)
		p.src, p.dst, p.id = netip.IPv6Loopback(), netip.IPv6Loopback(), 7
		oneWay := func(p *packet) {
			p.at(lo, event.NetDevQueue, event.NetDevStartXmit, event.NetifRx, event.NetDevXmit, event.NetifReceiveSKB)
		}
		oneWay(p)
		r := p.reply()
		oneWay(r)
		r.deliver(lo)
	}
	guestOfTap := func(s *sim) {
		p := s.request(1)
		p.skb += 0x100000
		p.at(tap0, event.NetifReceiveSKB)
		p.at(ovsBR, event.NetifReceiveSKB)
		r := p.reply()
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		r.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.at(ovsBR, event.NetDevXmit)
	}
	for _, first := range []int{0, 1} {
		var events []event.Event
		for i, what := range []func(*sim){own, guestOfTap} {
			s := newSim()
			what(s)
			for _, ev := range s.events {
				if i != first {
					ev.Time += 50
				}
				events = append(events, ev)
			}
		}
		slices.SortFunc(events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
		traces, stats := run(events, correlate.Options{})
		if len(traces) != 2 || stats.Complete != 2 || stats.Duplicates != 0 {
			t.Errorf("%d first: %d traces, %+v\n%v", first, len(traces), stats, renderAll(traces, stats))
		}
	}
}
