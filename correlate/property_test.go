// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// world is a random set of pings that overlap in time, with buffers reused among them
// as a kernel would.
type world struct {
	events []event.Event
	// owner says to which ping the event of that time belongs: no two have the same.
	owner map[uint64]int
	pings int
}

// drawWorld draws one to eight pings, each through its own tenant's address, some with
// a payload that is the same in all of them, some flooded, duplicated or unanswered.
func drawWorld(t *rapid.T) *world {
	w := &world{owner: map[uint64]int{}, pings: rapid.IntRange(1, 8).Draw(t, "pings")}
	start, buffers := uint64(1_000_000_000_000), uint64(0)
	for i := range w.pings {
		s := &sim{now: start + rapid.Uint64Range(0, 20_000).Draw(t, "start")}
		s.step = func() uint64 { return rapid.Uint64Range(1, 3000).Draw(t, "step") }
		drawPing(t, s, i)
		for _, ev := range s.events {
			ev.Time = ev.Time*16 + uint64(i) // unique among the pings
			ev.SKB = ev.SKB&0xfff | buffers<<16
			w.owner[ev.Time] = i
			w.events = append(w.events, ev)
		}
		if rapid.Bool().Draw(t, "next begins when this is over") {
			start = s.now // and reuses its buffers
		} else {
			buffers++
		}
	}
	slices.SortFunc(w.events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return w
}

// drawPing sends the ping number i in one of several ways.
func drawPing(t *rapid.T, s *sim, i int) {
	p := s.request(uint16(1 + i/4))
	p.skb = 0x800
	p.src = netip.AddrFrom4([4]byte{192, 168, 0, byte(10 + i)})
	p.id = uint16(100 + i)
	p.payload[15] = byte(i) // their clocks are never all the same
	if rapid.Bool().Draw(t, "constant payload") {
		p.payload, p.length = [16]byte{}, 0
	}
	if rapid.IntRange(0, 2).Draw(t, "fast path") == 0 {
		drawFastPing(t, p)
		return
	}
	src, id := p.src, p.id
	p.cross(brovsnsNS, brovsnsBR)
	if rapid.Bool().Draw(t, "flooded") {
		c := p.copy()
		c.cross(tenantBR, tenantNS)
		c.event(tenantNS, event.KfreeSKB, 12)
	}
	p.at(ovsBR, event.NetifReceiveSKB)
	p.nat()
	p.cross(ens3, outside0)
	for n := rapid.IntRange(0, 2).Draw(t, "replies"); n > 0; n-- {
		r := p.reply()
		if n == 1 {
			r.skb = p.skb // the request's buffer, freed
		}
		r.toGuest(src, id)
		r.deliver(brovsnsNS)
	}
}

// checkTimes fails unless every time in tr is that of an event of one ping, and returns
// that ping's number.
func (w *world) checkTimes(t *rapid.T, tr *trace.Trace) int {
	owner, ok := w.owner[uint64(tr.Root().Start)]
	if !ok {
		t.Fatalf("%v begins at no event", tr.Root())
	}
	for i := range tr.Spans {
		s := &tr.Spans[i]
		for _, at := range []int64{s.Start, s.End} {
			if got, ok := w.owner[uint64(at)]; !ok || got != owner {
				t.Fatalf("%v has a time of ping %d (known %v), the trace is of ping %d", s, got, ok, owner)
			}
		}
	}
	return owner
}

// Every ping gives one trace, of its own events only, with all that holds of a tree.
func TestPingsAndTracesMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		traces, stats := run(w.events, correlate.Options{})
		seen, ids := map[int]bool{}, map[trace.ID]bool{}
		for _, tr := range traces {
			if err := tracetest.CheckTree(tr); err != nil {
				t.Fatal(err)
			}
			owner := w.checkTimes(t, tr)
			if seen[owner] || ids[tr.ID] {
				t.Fatalf("second trace of ping %d or ID %s", owner, tr.ID)
			}
			seen[owner], ids[tr.ID] = true, true
			if tr.Cause != "" && tr.Cause != trace.CauseNoReply {
				t.Fatalf("ping %d: %s\n%s", owner, tr.Cause, render(tr))
			}
		}
		if len(seen) != w.pings || stats.Events != uint64(len(w.events)) || stats.Late+stats.Overflow+stats.Stray != 0 {
			t.Fatalf("%d traces of %d pings, stats %+v", len(seen), w.pings, stats)
		}
	})
}

// The order in which CPUs report does not matter.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		want := renderAll(run(w.events, correlate.Options{}))
		// The kernel's reordering: what two CPUs do at a time is reported in any order. A
		// packet's own steps stay in order, because each is reported before the next can
		// happen; but for the driver's return, which comes when the packet is elsewhere.
		mixed := slices.Clone(w.events)
		for i := range mixed[1:] {
			a, b := &mixed[i], &mixed[i+1]
			free := a.SKB != b.SKB && w.owner[a.Time] != w.owner[b.Time] || a.Hook == event.NetDevXmit || b.Hook == event.NetDevXmit
			if free && rapid.Bool().Draw(t, "swap") {
				*a, *b = *b, *a
			}
		}
		if diff := gocmp.Diff(want, renderAll(run(mixed, correlate.Options{}))); diff != "" {
			t.Fatal(diff)
		}
	})
}

// renderAll draws all traces in the order of their beginnings.
func renderAll(traces []*trace.Trace, _ correlate.Stats) []string {
	slices.SortFunc(traces, func(a, b *trace.Trace) int { return cmp.Compare(a.Root().Start, b.Root().Start) })
	out := make([]string, len(traces))
	for i, tr := range traces {
		out[i] = render(tr)
	}
	return out
}

// Whatever events are lost, no trace is wrong: its tree is whole, times are those of events,
// and a trace that looks complete has what makes it so.
func TestLostEventsMakeNoFigures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		kept := slices.DeleteFunc(slices.Clone(w.events), func(event.Event) bool {
			return rapid.IntRange(0, 9).Draw(t, "lost") == 0
		})
		var traces []*trace.Trace
		c := correlate.New(correlate.Options{Resolver: names{}, Emit: func(tr *trace.Trace) { traces = append(traces, tr) }})
		for i := range kept {
			c.Add(&kept[i])
		}
		if len(kept) < len(w.events) {
			c.Lost(w.events[0].Time, w.events[len(w.events)-1].Time)
		}
		c.Flush()
		for _, tr := range traces {
			if err := tracetest.CheckTree(tr); err != nil {
				t.Fatal(err)
			}
			if s := c.Stats(); len(kept) < len(w.events) && (tr.Cause != trace.CauseEventsLost || s.Complete != 0) {
				t.Fatalf("events were lost and the trace says %s %q", tr.Outcome, tr.Cause)
			}
			for i := range tr.Spans {
				if _, ok := w.owner[uint64(tr.Spans[i].End)]; !ok {
					t.Fatalf("%v ends at no event", &tr.Spans[i])
				}
			}
		}
	})
}

// Arbitrary events, such as no kernel sends, neither panic nor get lost.
func TestArbitraryEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// No two packets are seen on one device in the same nanosecond.
		type seen struct {
			at uint64
			on event.Place
		}
		events := rapid.SliceOfNDistinct(rapid.Custom(drawEvent), 1, 60, func(e event.Event) seen {
			return seen{e.Time, event.Place{NetNS: e.NetNS, IfIndex: e.IfIndex}}
		}).Draw(t, "events")
		w := &world{owner: map[uint64]int{}}
		for i := range events {
			w.owner[events[i].Time] = 0
		}
		traces, stats := run(events, correlate.Options{MaxEvents: 20, MaxOpen: 3})
		ids := map[trace.ID]bool{}
		for _, tr := range traces {
			if err := tracetest.CheckTree(tr); err != nil {
				t.Fatal(err)
			}
			w.checkTimes(t, tr)
			if ids[tr.ID] {
				t.Fatalf("two traces with ID %s", tr.ID)
			}
			ids[tr.ID] = true
		}
		if stats.Open != 0 || stats.Pings() != uint64(len(traces)) {
			t.Fatalf("%d traces, stats %+v", len(traces), stats)
		}
	})
}

func drawEvent(t *rapid.T) event.Event {
	d := rapid.SampledFrom(simDevs).Draw(t, "dev")
	return event.Event{
		Time: rapid.Uint64Range(1, 200).Draw(t, "time"), SKB: rapid.Uint64Range(0, 3).Draw(t, "skb"),
		NetNS: d.ns, IfIndex: d.index, Flags: d.flags | event.Flags(rapid.SampledFrom([]int{0, 0, 2, 16}).Draw(t, "flags")),
		Hook: rapid.SampledFrom(event.All().List()).Draw(t, "hook").Hook, Type: event.Type(rapid.IntRange(1, 2).Draw(t, "type")),
		ID: uint16(rapid.IntRange(1, 2).Draw(t, "id")), Seq: uint16(rapid.IntRange(1, 2).Draw(t, "seq")),
		PayloadLen: uint16(rapid.SampledFrom([]int{0, 56}).Draw(t, "len")), Code: rapid.Uint32Range(0, 13).Draw(t, "code"),
		Payload: [16]byte{1, 2, 4, 9, 7, 1, 1, 8, 3},
		Src:     event.AddressFrom(guestAddr), Dst: event.AddressFrom(targetAddr),
	}
}
