// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// A ping whose packets are in a tunnel from the first device on, as SRv6 and MPLS have them, is not
// a step of another that was sent in the same microsecond with the same sequence number.
func TestEncapsulatedInTheSameMicrosecond(t *testing.T) {
	plain := func(s *sim) {
		p := s.request(1)
		p.cross(vethA, va)
		p.cross(vb, vethB)
		r := p.reply()
		r.cross(vethB, vb)
		r.cross(va, vethA)
		r.deliver(vethA)
	}
	inTunnel := func(s *sim) {
		p := s.request(1)
		p.outer = &event.Tunnel{Src: event.AddressFrom(natAddr), Dst: event.AddressFrom(targetAddr), Type: event.SRv6}
		p.cross(vethA, va)
		p.cross(vb, vethB)
		r := p.reply()
		r.cross(vethB, vb)
		r.cross(va, vethA)
		r.outer = nil
		r.deliver(vethA)
	}
	for name, pair := range map[string][2]func(*sim){
		"tunnel last": {plain, inTunnel}, "tunnel first": {inTunnel, plain}, "two tunnels": {inTunnel, inTunnel},
	} {
		one, other := newSim(), newSim()
		pair[0](one)
		pair[1](other)
		second := strangers(other.events, one.events[0])
		for i := range second {
			second[i].Time += 50
		}
		traces, stats := run(merged(one.events, second), correlate.Options{})
		if len(traces) != 2 || stats.Complete != 2 || stats.Duplicates != 0 {
			t.Errorf("%s: %d traces, %+v\n%s", name, len(traces), stats, renderAll(traces, stats))
		}
	}
}

// strangers returns the events of another ping than first's, of other networks: it has nothing in
// common with that one but its content.
func strangers(events []event.Event, first event.Event) []event.Event {
	events = in(events, 1)
	elsewhere := func(a *event.Address) {
		if *a != (event.Address{}) {
			a[14] ^= 0x80
		}
	}
	for i := range events {
		e := &events[i]
		e.Seq, e.Payload = first.Seq, first.Payload
		e.ID += 20000
		e.SKB |= 1 << 60
		elsewhere(&e.Src)
		elsewhere(&e.Dst)
		for j := range min(int(e.Depth), event.MaxTunnels) {
			elsewhere(&e.Tunnels[j].Src)
			elsewhere(&e.Tunnels[j].Dst)
		}
	}
	return events
}

// merged returns the events of both in the order of their times.
func merged(a, b []event.Event) []event.Event {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

// single returns the scenarios of one ping that says when it was sent.
func single() []scenario {
	return slices.DeleteFunc(slices.Concat(golden, roads, copies, guests), func(g scenario) bool {
		s := newSim()
		g.what(s)
		traces, _ := run(s.events, correlate.Options{})
		first := s.events[0]
		return len(traces) != 1 || traces[0].Local || slices.ContainsFunc(s.events, func(e event.Event) bool {
			return e.Seq != first.Seq || e.Payload != first.Payload
		})
	})
}

var ownID = regexp.MustCompile(`id=\S+ local=\S+`)

// shown returns the traces of some events, without what depends on whether a content is taken.
func shown(events []event.Event) []string {
	traces, _ := run(events, correlate.Options{})
	var all []string
	for _, tr := range traces {
		all = append(all, ownID.ReplaceAllString(render(tr), ""))
	}
	slices.Sort(all)
	return all
}

// Two pings of two networks with the same content, on any two roads, each have the trace that they
// have alone.
func TestStrangersOfOneContent(t *testing.T) {
	all := single()
	if len(all) < 30 {
		t.Fatalf("only %d scenarios", len(all))
	}
	rapid.Check(t, func(t *rapid.T) {
		one, other := rapid.SampledFrom(all).Draw(t, "one"), rapid.SampledFrom(all).Draw(t, "other")
		a, b := newSim(), newSim()
		one.what(a)
		other.what(b)
		second := strangers(b.events, a.events[0])
		delay := rapid.Uint64Range(0, 3000).Draw(t, "delay")
		for i := range second {
			second[i].Time += delay
		}
		got, want := shown(merged(a.events, second)), slices.Concat(shown(a.events), shown(second))
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s and %s:\n%s\nalone:\n%s", one.name, other.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
