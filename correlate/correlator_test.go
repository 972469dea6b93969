// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// collector is a Correlator with the traces that it has emitted so far.
type collector struct {
	*correlate.Correlator
	traces []*trace.Trace
}

func collect(opts correlate.Options) *collector {
	c := &collector{}
	opts.Resolver = names{}
	opts.Emit = func(t *trace.Trace) { c.traces = append(c.traces, t) }
	c.Correlator = correlate.New(opts)
	return c
}

func (c *collector) addAll(events []event.Event) {
	for i := range events {
		c.Add(&events[i])
	}
}

// end returns the time of the last event.
func (s *sim) end() uint64 { return s.events[len(s.events)-1].Time }

func TestClosesAfterGrace(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Grace: time.Millisecond})
	s.ping(1)
	c.addAll(s.events)
	c.Advance(s.end() + uint64(time.Millisecond) - 1)
	if len(c.traces) != 0 {
		t.Error("closed before the grace was over")
	}
	c.Advance(s.end() + uint64(time.Millisecond))
	if len(c.traces) != 1 || c.traces[0].Outcome != trace.Complete {
		t.Errorf("not closed after the grace: %v", c.traces)
	}
}

func TestGivesUpAfterTimeout(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	first := s.now
	s.request(1).at(ens3, event.NetDevQueue)
	c.addAll(s.events)
	c.Advance(first + uint64(time.Second))
	if len(c.traces) != 0 {
		t.Error("given up before the timeout")
	}
	c.Advance(first + uint64(time.Second) + 100)
	if len(c.traces) != 1 || c.traces[0].Cause != trace.CauseNoReply {
		t.Errorf("not given up after the timeout: %v", c.traces)
	}
}

func TestFlushSaysThatTheAgentStopped(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{})
	s.request(1).toOutside()
	s.ping(2)
	c.addAll(s.events)
	c.Flush()
	if st := c.Stats(); st.Complete != 1 || st.Incomplete[trace.CauseAgentStopped] != 1 || st.Open != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestLateEventsAreCountedAndMakeNoTrace(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{})
	s.ping(1)
	last := len(s.events) - 1
	c.addAll(s.events[:last])
	c.Flush()
	c.addAll(s.events[last:])
	c.Flush()
	if st := c.Stats(); len(c.traces) != 1 || st.Late != 1 || st.Events != uint64(len(s.events)) {
		t.Errorf("%d traces, stats %+v", len(c.traces), st)
	}
}

// A next hop that does not answer is given up after seconds, when the ping may be closed.
func TestLateDropMakesNoTrace(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	p := s.request(1)
	p.cross(brovsnsNS, brovsnsBR)
	p.at(ovsBR, event.NetifReceiveSKB)
	c.addAll(s.events)
	c.Advance(s.now + uint64(8*time.Second))
	sent := len(s.events)
	s.now += uint64(9 * time.Second)
	p.event(ens3, event.KfreeSKB, 2)
	c.addAll(s.events[sent:])
	c.Flush()
	if st := c.Stats(); len(c.traces) != 1 || st.Late != 1 {
		t.Errorf("%d traces, stats %+v", len(c.traces), st)
	}
}

func TestOldestIsEvicted(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{MaxOpen: 2})
	for seq := range uint16(3) {
		s.request(seq).toOutside()
	}
	c.addAll(s.events)
	if len(c.traces) != 1 || c.traces[0].Ping.Seq != 0 || c.traces[0].Cause != trace.CauseEvicted {
		t.Fatalf("evicted %v", c.traces)
	}
	if st := c.Stats(); st.Evicted != 1 || st.Open != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestEventsOfOnePingAreBounded(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{MaxEvents: 10})
	s.ping(1)
	c.addAll(s.events)
	if st := c.Stats(); st.Overflow != uint64(len(s.events)-10) {
		t.Errorf("stats %+v", st)
	}
}

// Only pings that were open when events were lost are marked.
func TestLossMarksOpenPings(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	s.ping(1)
	s.now += 1000
	from := s.now
	s.ping(2)
	to := s.now
	s.now += 1000
	s.ping(3)
	c.addAll(s.events)
	c.Lost(from+100, to-100)
	c.Advance(s.end() + uint64(time.Second))
	want := []trace.Cause{"", trace.CauseEventsLost, ""}
	for i, tr := range c.traces {
		if tr.Cause != want[i] {
			t.Errorf("ping %d: cause %q, want %q", tr.Ping.Seq, tr.Cause, want[i])
		}
	}
	if len(c.traces) != 3 {
		t.Errorf("%d traces", len(c.traces))
	}
}

// An unanswered ping is marked even if the loss came after all that was seen of it.
func TestLossMarksPingsThatWait(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{Timeout: time.Second})
	s.request(1).toOutside()
	c.addAll(s.events)
	c.Lost(s.end()+1000, s.end()+2000)
	c.Advance(s.end() + uint64(8*time.Second))
	if len(c.traces) != 1 || c.traces[0].Cause != trace.CauseEventsLost {
		t.Errorf("%v", c.traces)
	}
}

// Two tenants whose tools send the same bytes, at the same time, with the same
// identifier and sequence number, are still two pings.
func TestSameContentFromTwoNamespaces(t *testing.T) {
	s := newSim()
	twoTenants(s)
	traces, st := run(s.events, correlate.Options{})
	if len(traces) != 2 || st.Complete != 2 {
		t.Fatalf("%d traces, stats %+v", len(traces), st)
	}
	if traces[0].ID == traces[1].ID {
		t.Error("both have one ID")
	}
	if traces[0].Local || !traces[1].Local {
		t.Error("the first keeps the ID of its content, the second needs one of its own")
	}
	for _, tr := range traces {
		if n := len(tr.Spans); n != 29 {
			t.Errorf("%d spans\n%s", n, render(tr))
		}
	}
}

// twoTenants sends one ping each from two guests, step by step in turn.
func twoTenants(s *sim) {
	a := s.request(1)
	b := s.request(1)
	b.skb, b.src = a.skb+0x8000, netip.MustParseAddr("192.168.0.11")
	b.payload, b.id = a.payload, a.id
	tenants := []*packet{a, b}
	from := []dev{brovsnsNS, tenantNS}
	port := []dev{brovsnsBR, tenantBR}
	var replies [2]*packet
	for i, p := range tenants {
		p.cross(from[i], port[i])
	}
	for i, p := range tenants {
		src, id := p.src, p.id
		p.at(ovsBR, event.NetifReceiveSKB)
		p.src, p.id = natAddr, p.id+1000+uint16(i)
		p.cross(ens3, outside0)
		replies[i] = p.reply()
		replies[i].cross(outside0, ens3)
		replies[i].dst, replies[i].id = src, id
	}
	for i, r := range replies {
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		r.cross(port[i], from[i])
		r.deliver(from[i])
	}
}

// transit sends a ping through a host that is neither its source nor its target.
func (s *sim) transit(seq uint16) {
	tap := dev{ns: hypervisor, index: 9, name: "tap0"}
	p := s.request(seq)
	p.at(tap, event.NetifRx, event.NetifReceiveSKB)
	p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	r := p.reply()
	r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	r.at(tap, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
}

// Two tenants with the same addresses, each in networks of its own, whose empty pings have
// the same identifier and sequence number, are told apart by where they were seen.
func TestSameAddressesInTwoNetworks(t *testing.T) {
	one := newSim()
	p := one.request(1)
	p.payload, p.length = [event.PayloadPrefix]byte{}, 0
	p.toOutside()
	r := p.reply()
	r.toGuest(guestAddr, 77)
	r.deliver(brovsnsNS)
	var both []event.Event
	for _, ev := range one.events {
		other := ev
		other.NetNS += 100
		other.Peer.NetNS += 100
		other.Time += 50                              // a step takes 100
		if other.Hook != event.SKBCopyDatagramIovec { // that buffer the first has just freed
			other.SKB += 0x10000000
		}
		both = append(both, ev, other)
	}
	traces, st := run(both, correlate.Options{})
	if len(traces) != 2 || st.Complete != 2 || st.Duplicates != 0 {
		t.Fatalf("%d traces, stats %+v\n%s", len(traces), st, renderAll(traces, st))
	}
	for _, tr := range traces {
		side := tr.Root().NetNS.Inode / 100
		for i := range tr.Spans {
			if s := &tr.Spans[i]; s.NetNS.Inode/100 != side {
				t.Errorf("%v was in network %d, its root in %d", s, s.NetNS.Inode/100, side)
			}
		}
	}
}

// A tool that sends the same bytes again and again gets a trace for each, wherever it is
// seen, whether the ping before is closed already or still waits for late events, and
// whether or not its payload looks like one that tells echoes apart.
func TestSameContentAgain(t *testing.T) {
	for _, way := range []struct {
		name string
		send func(*sim, uint16)
	}{{"here", (*sim).ping}, {"passing by", (*sim).transit}} {
		for _, pause := range []time.Duration{10 * time.Microsecond, 100 * time.Millisecond, 3 * time.Second} {
			for _, length := range []uint16{0, 56} {
				t.Run(fmt.Sprintf("%s every %v, %d bytes", way.name, pause, length), func(t *testing.T) {
					s := newSim()
					way.send(s, 1)
					checkAgain(t, s.events, uint64(pause), length)
				})
			}
		}
	}
}

// checkAgain repeats one ping's events and fails unless each time gives a trace.
func checkAgain(t *testing.T, once []event.Event, pause uint64, length uint16) {
	t.Helper()
	const times = 10
	c := collect(correlate.Options{})
	shift := once[len(once)-1].Time - once[0].Time + pause
	for n := range uint64(times) {
		for _, ev := range once {
			ev.Time += n * shift
			ev.PayloadLen = length
			switch {
			case length == 0:
				ev.Payload = [event.PayloadPrefix]byte{}
			case pause < uint64(time.Millisecond): // with a clock it would be a duplicate
				ev.Payload = [event.PayloadPrefix]byte([]byte("always the same!"))
			}
			c.Add(&ev)
		}
		c.Advance(once[0].Time + n*shift)
	}
	c.Advance(once[0].Time + times*shift + uint64(time.Minute))
	ids := map[trace.ID]bool{}
	for _, tr := range c.traces {
		ids[tr.ID] = true
	}
	if st := c.Stats(); len(ids) != times || st.Complete != times || st.Late != 0 || st.Duplicates != 0 {
		t.Errorf("%d traces, %d IDs, stats %+v", len(c.traces), len(ids), st)
	}
}

// What was lost while a ping was on its way is known only later, and marks it even if the same
// bytes have been sent again meanwhile.
func TestLossMarksPingsOfSameContent(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{})
	for range 2 {
		p := s.request(1).empty()
		p.cross(vethA, va)
		r := p.reply()
		r.cross(va, vethA)
		r.deliver(vethA)
	}
	c.addAll(s.events)
	c.Lost(s.events[0].Time, s.end())
	c.Advance(s.end() + uint64(time.Minute))
	if n := c.Stats().Incomplete[trace.CauseEventsLost]; n != 2 || len(c.traces) != 2 {
		t.Errorf("%d of %d traces are marked", n, len(c.traces))
	}
}

// One that is not answered does not take in the next.
func TestSameContentAgainUnanswered(t *testing.T) {
	s, c := newSim(), collect(correlate.Options{})
	s.request(1).toOutside()
	again := slices.Clone(s.events)
	for i := range again {
		again[i].Time += uint64(500 * time.Millisecond)
		again[i].SKB += 0x100000
	}
	c.addAll(s.events)
	c.addAll(again)
	c.Advance(s.end() + uint64(time.Minute))
	if st := c.Stats(); st.Incomplete[trace.CauseNoReply] != 2 || st.Late != 0 || c.traces[0].ID == c.traces[1].ID {
		t.Errorf("%d traces, stats %+v", len(c.traces), st)
	}
}

// A packet that is held back between two of its sender's devices, by the shaping of a VLAN
// or by slow chains, is not another.
func TestHeldBackBySender(t *testing.T) {
	for name, first := range map[string]func(*packet){
		"VLAN":   func(p *packet) { p.at(dev{ns: guest, index: 7, name: "vlan7"}, event.NetDevQueue) },
		"chains": func(p *packet) { p.nf(brovsnsNS, event.NetfilterFirst, event.NetfilterLocalOut) },
	} {
		for _, length := range []uint16{0, 56} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, length), func(t *testing.T) {
				s := newSim()
				p := s.request(1)
				if length == 0 {
					p.empty()
				}
				first(p)
				s.now += uint64(100 * time.Millisecond)
				p.toOutside()
				p.back()
				traces, st := run(s.events, correlate.Options{})
				if len(traces) != 1 || st.Complete != 1 {
					t.Errorf("stats %+v\n%s", st, renderAll(traces, st))
				}
			})
		}
	}
}

// A driver's return without the rest of the packet is no journey.
func TestStrayDriverReturn(t *testing.T) {
	s := newSim()
	s.request(1).at(ens3, event.NetDevXmit)
	traces, st := run(s.events, correlate.Options{})
	if len(traces) != 0 || st.Stray != 1 || st.Open != 0 {
		t.Errorf("%d traces, stats %+v", len(traces), st)
	}
}
