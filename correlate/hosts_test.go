// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// What the host that answers saw hangs below the sender's span of the time in which the ping was
// away, which the host knows without having seen it, but only if its reply has left.
func TestAnswerHangsBelowTheTurn(t *testing.T) {
	s := newSim()
	s.ping(1)
	of := func(there bool) []event.Event {
		return slices.DeleteFunc(slices.Clone(s.events), func(ev event.Event) bool { return (ev.NetNS == outside) != there })
	}
	sender, _ := run(of(false), correlate.Options{HostID: "a"})
	turn := slices.IndexFunc(sender[0].Spans, func(s trace.Span) bool { return s.Kind == trace.KindBeyond })
	if turn < 0 || sender[0].RemoteTurn != (trace.SpanID{}) {
		t.Fatalf("the sender's trace is %v", sender[0].Spans)
	}
	answer := of(true)
	if other, _ := run(answer, correlate.Options{HostID: "b"}); other[0].Remote != sender[0].Root().ID || other[0].RemoteTurn != sender[0].Spans[turn].ID {
		t.Errorf("it hangs below %v and %v", other[0].Remote, other[0].RemoteTurn)
	}
	unanswered := slices.DeleteFunc(answer, func(ev event.Event) bool { return ev.Type == event.EchoReply })
	if other, _ := run(unanswered, correlate.Options{HostID: "b"}); other[0].Remote != sender[0].Root().ID || other[0].RemoteTurn != (trace.SpanID{}) {
		t.Errorf("without a reply it hangs below %v and %v", other[0].Remote, other[0].RemoteTurn)
	}
}

// Two hosts that see the same packet give it the same trace, and spans of their own: the
// one that sends it the root, the other one what it saw of it.
func TestTwoHostsMeetInOneTrace(t *testing.T) {
	s := newSim()
	s.ping(1)
	sender, _ := run(s.events, correlate.Options{HostID: "a"})
	passing := slices.DeleteFunc(slices.Clone(s.events), func(ev event.Event) bool { return ev.NetNS != hypervisor })
	for i := range passing {
		passing[i].NetNS += 1000 // another host's numbers and clock
		passing[i].Time += 12345
	}
	other, _ := run(passing, correlate.Options{HostID: "b"})
	if sender[0].ID != other[0].ID {
		t.Error("the hosts disagree about the trace")
	}
	ids := map[trace.SpanID]bool{}
	for _, s := range append(sender[0].Spans, other[0].Spans...) {
		if ids[s.ID] {
			t.Errorf("%v: there is another span with this ID", &s)
		}
		ids[s.ID] = true
	}
	again, _ := run(s.events, correlate.Options{HostID: "c"})
	if again[0].Root().ID != sender[0].Root().ID {
		t.Error("the sender's root depends on the host")
	}
}
