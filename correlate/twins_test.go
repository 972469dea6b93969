// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// network is the number of the simulated host's twin that a namespace is part of.
func network(netns uint32) uint32 { return (netns - guest) / 100 }

// in moves events to another of the simulated host's twins.
func in(events []event.Event, network uint32) []event.Event {
	events = slices.Clone(events)
	for i := range events {
		events[i].NetNS += 100 * network
		if events[i].Peer.NetNS != 0 {
			events[i].Peer.NetNS += 100 * network
		}
	}
	return events
}

// empty takes the payload from a packet.
func (p *packet) empty() *packet {
	p.payload, p.length = [event.PayloadPrefix]byte{}, 0
	return p
}

// back answers a request that has come outside.
func (p *packet) back() {
	r := p.reply()
	r.toGuest(guestAddr, 77)
	r.deliver(brovsnsNS)
}

// A buffer is whose it is now: that a ping which is over had it before does not count,
// not even when another ping begins that looks the same, and addresses must decide
// between the two.
func TestBufferOfAnEarlierPing(t *testing.T) {
	s := newSim()
	first := s.request(1).empty()
	first.toOutside()
	first.back()

	second := s.request(2).empty()
	second.skb = first.skb
	second.cross(brovsnsNS, brovsnsBR)
	second.at(ovsBR, event.NetifReceiveSKB)

	at := len(s.events)
	s.request(1).empty().at(brovsnsNS, event.NetDevQueue)
	copy(s.events[at:], in(s.events[at:], 1))

	second.nat() // only the buffer tells whose this is
	second.cross(ens3, outside0)
	second.back()
	traces, st := run(s.events, correlate.Options{})
	if len(traces) != 3 || st.Complete != 2 {
		t.Errorf("stats %+v\n%s", st, renderAll(traces, st))
	}
}

// twins are the events of networks that are alike: the same identifiers, sequence
// numbers and payloads, and the same addresses but for some guests'. What tells their
// pings apart is the namespaces and the buffers.
type twins struct {
	*world
	now uint64
	// todo are the events of each network that are to come. Each packet has a buffer of
	// its own in them, which is a number.
	todo [][]event.Event
	// free are the real buffers that nobody has, the last freed last.
	free  []uint64
	taken map[buffer]uint64
}

// buffer is a buffer in twins.todo.
type buffer struct {
	network int
	skb     uint64
}

// drawTwins draws two to six networks, in each of which one ping goes after the other.
func drawTwins(t *rapid.T) *twins {
	w := &twins{world: &world{owner: map[uint64]int{}}, now: 1_000_000_000_000, taken: map[buffer]uint64{}}
	pings := rapid.IntRange(1, 4).Draw(t, "pings of each")
	clock := rapid.Bool().Draw(t, "payload looks like a clock")
	for n := range rapid.IntRange(2, 6).Draw(t, "networks") {
		s := newSim()
		for seq := range pings {
			s.now += 1 << 20 // no two have one buffer
			p := s.request(uint16(seq))
			p.payload = [event.PayloadPrefix]byte{15: 1}
			if clock {
				p.payload = [event.PayloadPrefix]byte{1, 2, 4, 9, 7, 1, 1, 8, 3}
			} else {
				p.empty()
			}
			p.src = netip.AddrFrom4([4]byte{192, 168, byte(rapid.IntRange(0, 1).Draw(t, "guest")), 10})
			src := p.src
			p.toOutside()
			r := p.reply()
			r.toGuest(src, 77)
			r.deliver(brovsnsNS)
		}
		w.todo = append(w.todo, in(s.events, uint32(n)))
	}
	w.pings = pings * len(w.todo)
	for len(w.todo) > 0 {
		w.run(t)
	}
	return w
}

// run lets one network do some steps, as a CPU does until it is interrupted.
func (w *twins) run(t *rapid.T) {
	n := rapid.IntRange(0, len(w.todo)-1).Draw(t, "network")
	for range rapid.IntRange(1, 12).Draw(t, "steps") {
		if len(w.todo[n]) == 0 {
			w.todo = slices.Delete(w.todo, n, n+1)
			return
		}
		ev := w.todo[n][0]
		w.todo[n] = w.todo[n][1:]
		w.now += rapid.Uint64Range(1, 3000).Draw(t, "step")
		ev.Time = w.now
		w.owner[ev.Time] = int(network(ev.NetNS))<<16 | int(ev.Seq)
		ev.SKB = w.buffer(ev)
		ev.CPU = uint16(network(ev.NetNS))
		w.events = append(w.events, ev)
	}
}

// buffer returns the buffer that the event's packet has, or gives it one. It is free
// after the packet's last event.
func (w *twins) buffer(ev event.Event) uint64 {
	b := buffer{int(network(ev.NetNS)), ev.SKB}
	skb, ok := w.taken[b]
	if !ok {
		skb = uint64(len(w.taken)+1) << 8
		if last := len(w.free) - 1; last >= 0 {
			skb, w.free = w.free[last], w.free[:last]
		}
		w.taken[b] = skb
	}
	if !slices.ContainsFunc(w.todoOf(b.network), func(e event.Event) bool { return e.SKB == ev.SKB }) {
		w.free = append(w.free, skb)
	}
	return skb
}

// todoOf returns what is to come of a network.
func (w *twins) todoOf(n int) []event.Event {
	for _, events := range w.todo {
		if len(events) > 0 && int(network(events[0].NetNS)) == n {
			return events
		}
	}
	return nil
}

// mix reorders what two CPUs do at a time, as the ring buffer does.
func (w *twins) mix(t *rapid.T) {
	for i := range w.events[1:] {
		a, b := &w.events[i], &w.events[i+1]
		if a.SKB != b.SKB && a.CPU != b.CPU && rapid.Bool().Draw(t, "swap") {
			*a, *b = *b, *a
		}
	}
}

// Every ping gives one complete trace, of its own events only, even if all pings look the
// same.
func TestTwinsAreToldApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawTwins(t)
		w.mix(t)
		traces, stats := run(w.events, correlate.Options{})
		seen, ids := map[int]bool{}, map[trace.ID]bool{}
		for _, tr := range traces {
			if err := tracetest.CheckTree(tr); err != nil {
				t.Fatal(err)
			}
			owner := w.checkTimes(t, tr)
			if seen[owner] || ids[tr.ID] {
				t.Fatalf("second trace of ping %x or ID %s", owner, tr.ID)
			}
			seen[owner], ids[tr.ID] = true, true
		}
		if len(seen) != w.pings || int(stats.Complete) != w.pings {
			t.Fatalf("%d traces of %d pings, stats %+v", len(seen), w.pings, stats)
		}
	})
}
