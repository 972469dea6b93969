// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// wanted are places whose names are not known yet.
type wanted map[event.Place]bool

func (w wanted) named(netns, ifindex uint32, _ uint64) bool {
	return !w[event.Place{NetNS: netns, IfIndex: ifindex}]
}

// A ping whose names are not there is closed, and its trace made as soon as they are; others do not
// wait for it.
func TestPingWaitsForNames(t *testing.T) {
	missing := wanted{{NetNS: tenantBR.ns, IfIndex: tenantBR.index}: true}
	s, c := newSim(), collect(correlate.Options{Named: missing.named})
	s.ping(1)
	other := s.request(2)
	other.at(tenantBR, event.NetDevQueue)
	c.addAll(s.events)
	closing := s.end() + uint64(2*time.Second)
	c.Advance(closing)
	if len(c.traces) != 1 || c.traces[0].Ping.Seq != 1 {
		t.Fatalf("%d traces, want that of the ping that has all names", len(c.traces))
	}
	if st := c.Stats(); st.Unnamed != 1 || st.Open != 0 || c.Unnamed() != 1 {
		t.Errorf("%+v, want one that waits", st)
	}
	late := s.events[len(s.events)-1]
	late.Time, late.Hook = late.Time+1, event.NetifReceiveSKB
	c.Add(&late)
	if st := c.Stats(); st.Late != 1 {
		t.Errorf("%d late events of a ping that is closed, want 1", st.Late)
	}
	clear(missing)
	c.Advance(closing)
	if st := c.Stats(); len(c.traces) != 2 || st.Unnamed != 0 || st.GivenUp != 0 {
		t.Errorf("%d traces, %+v", len(c.traces), st)
	}
}

// Names that do not come are not waited for without end, nor when all is over.
func TestNamesAreGivenUp(t *testing.T) {
	for _, flush := range []bool{false, true} {
		missing := wanted{{NetNS: guest, IfIndex: brovsnsNS.index}: true}
		s, c := newSim(), collect(correlate.Options{Named: missing.named, NameWait: time.Minute})
		s.ping(1)
		c.addAll(s.events)
		closing := s.end() + uint64(time.Second)
		c.Advance(closing)
		c.Advance(closing + uint64(time.Minute) - 1)
		if len(c.traces) != 0 {
			t.Fatal("a trace without names before the time is over")
		}
		if flush {
			c.Flush()
		} else {
			c.Advance(closing + uint64(time.Minute))
		}
		if st := c.Stats(); len(c.traces) != 1 || st.GivenUp != 1 || st.Unnamed != 0 {
			t.Errorf("flush %t: %d traces, %+v", flush, len(c.traces), st)
		}
	}
}

// What is done to a packet names a device as well.
func TestDeviceOfAnActionIsWaitedFor(t *testing.T) {
	missing := wanted{{NetNS: hypervisor, IfIndex: 99}: true}
	s, c := newSim(), collect(correlate.Options{Named: missing.named})
	s.request(1).at(brovsnsBR, event.NetDevQueue)
	ev := s.events[0]
	ev.Hook, ev.Action = event.Acted, event.Action{Deed: event.Redirect, To: 99}
	c.addAll(append(s.events, ev))
	c.Advance(s.end() + uint64(time.Minute))
	if len(c.traces) != 0 {
		t.Error("a trace, and where its packet went has no name")
	}
	c.Flush()
}

// Whatever becomes known when: each ping has one trace, none is made before its names are there
// unless it was given up, and no more wait than may, nor for longer.
func TestWaitingIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const wait = time.Second
		most := rapid.IntRange(1, 4).Draw(t, "most")
		devices := []dev{brovsnsBR, ovsBR, ens3, tenantBR}
		missing := wanted{}
		var closed []uint16 // those that wait, as a model has it, in order
		since, on := map[uint16]uint64{}, map[uint16]dev{}
		seen, given := map[uint16]bool{}, uint64(0)
		c := correlate.New(correlate.Options{
			Resolver: names{}, Named: missing.named, NameWait: wait, MaxUnnamed: most, Timeout: time.Second, Wall: simWall,
			Emit: func(tr *trace.Trace) {
				if seen[tr.Ping.Seq] {
					t.Fatalf("a second trace of ping %d", tr.Ping.Seq)
				}
				seen[tr.Ping.Seq] = true
			},
		})
		s := newSim()
		leave := func(seq uint16, named bool) {
			if !named {
				given++
			}
			closed = slices.DeleteFunc(closed, func(q uint16) bool { return q == seq })
			delete(since, seq)
		}
		for seq := range uint16(rapid.IntRange(1, 20).Draw(t, "pings")) {
			d := rapid.SampledFrom(devices).Draw(t, "device")
			s.events = s.events[:0]
			s.request(seq).at(d, event.NetDevQueue)
			c.Add(&s.events[0])
			on[seq] = d
			place := func(d dev) event.Place { return event.Place{NetNS: d.ns, IfIndex: d.index} }
			for _, d := range devices {
				missing[place(d)] = rapid.Bool().Draw(t, "missing")
			}
			s.now += uint64(rapid.SampledFrom([]time.Duration{time.Second, 1500 * time.Millisecond, 3 * time.Second}).Draw(t, "later"))
			for _, q := range slices.Clone(closed) {
				if named := !missing[place(on[q])]; named || since[q]+uint64(wait) <= s.now {
					leave(q, named)
				}
			}
			if missing[place(d)] {
				if len(closed) == most {
					leave(closed[0], false)
				}
				closed = append(closed, seq)
				since[seq] = s.now
			}
			c.Advance(s.now)
			if st := c.Stats(); st.Unnamed != len(closed) || st.GivenUp != given || len(seen) != int(seq)+1-len(closed) {
				t.Fatalf("%d wait and %d were given up of %d traces, want %d, %d of %d",
					st.Unnamed, st.GivenUp, len(seen), len(closed), given, int(seq)+1-len(closed))
			}
			for _, q := range closed {
				if seen[q] {
					t.Fatalf("ping %d has a trace, and its names are not there", q)
				}
			}
		}
		c.Flush()
		if st := c.Stats(); st.Unnamed != 0 || st.Open != 0 || len(seen) != len(on) {
			t.Fatalf("%d traces of %d pings, %+v", len(seen), len(on), st)
		}
	})
}
