// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// one is the only trace of what happens on the simulated host.
func one(t *testing.T, what func(*sim), opts correlate.Options) *trace.Trace {
	t.Helper()
	s := newSim()
	what(s)
	traces, stats := run(s.events, opts)
	if len(traces) != 1 {
		t.Fatalf("%d traces, %+v", len(traces), stats)
	}
	return traces[0]
}

// A ping through several hosts has one root, that of the host which sent it.
func TestOneRootAcrossHosts(t *testing.T) {
	whole := func(s *sim) { s.ping(1) }
	hypervisorOnly := func(s *sim) { // what an agent for that namespace alone sees of the same ping
		whole(s)
		var seen []event.Event
		for _, ev := range s.events {
			if ev.NetNS == hypervisor {
				seen = append(seen, ev)
			}
		}
		s.events = seen
	}
	sender := one(t, whole, correlate.Options{HostID: "a"})
	passed := one(t, hypervisorOnly, correlate.Options{HostID: "b"})
	if sender.Remote != (trace.SpanID{}) || !sender.Sent {
		t.Errorf("the sender's root has the parent %v", sender.Remote)
	}
	if passed.ID != sender.ID || passed.Remote != sender.Root().ID || passed.Root().ID == sender.Root().ID {
		t.Errorf("trace %v, root %v below %v, want it below %v of %v",
			passed.ID, passed.Root().ID, passed.Remote, sender.Root().ID, sender.ID)
	}
	for name, tr := range map[string]*trace.Trace{
		"with a root of its own": one(t, hypervisorOnly, correlate.Options{HostID: "b", OwnRoot: true}),
		"with another key":       one(t, hypervisorOnly, correlate.Options{HostID: "b", OwnRoot: true, Key: correlate.Key([]byte("another key, 16b"))}),
		"seen from midway on":    one(t, func(s *sim) { whole(s); s.events = s.events[7:] }, correlate.Options{}),
		"of constant content": one(t, func(s *sim) {
			hypervisorOnly(s)
			for i := range s.events {
				s.events[i].Payload = [event.PayloadPrefix]byte{'c', 'o', 'n', 's', 't', 'a', 'n', 't'}
			}
		}, correlate.Options{}),
	} {
		if tr.Remote != (trace.SpanID{}) {
			t.Errorf("a ping %s has a root elsewhere: %s", name, render(tr))
		}
	}
}
