// SPDX-License-Identifier: Apache-2.0

package tally_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/tally"
)

func TestString(t *testing.T) {
	var p tally.Counts
	if got, want := p.String(), "0 pings: 0 complete, 0 dropped, 0 incomplete"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if notes := p.Notes(); len(notes) > 0 {
		t.Errorf("of nothing: %q", notes)
	}
	for _, tr := range tracetest.All() {
		p.Add(tr)
	}
	before := p.Clone()
	p.Add(tracetest.Expired(20))
	p.Add(tracetest.Dropped(21))
	p.Add(tracetest.NoReply(22))
	want := "13 pings: 4 complete, 2 dropped (NETFILTER_DROP: 2), 3 incomplete (agent_stopped: 1, no_reply: 2), " +
		"2 expired, 1 unreachable, 1 partial, 1 duplicate replies"
	if got := p.String(); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if before.Pings() != 10 || before.Other[trace.Expired] != 1 {
		t.Errorf("the clone has changed: %v", before)
	}
}

// Each outcome is in the sum and has a sentence, unless its count says everything.
func TestEachOutcomeIsCounted(t *testing.T) {
	for _, o := range trace.Outcomes() {
		var p tally.Counts
		p.Add(&trace.Trace{Outcome: o, DropReason: "X", Cause: trace.CauseNoReply})
		if p.Pings() != 1 || !strings.Contains(p.String(), " 1 "+o.String()) {
			t.Errorf("%s: %s", o, p)
		}
		var want []string
		if o > trace.Incomplete {
			want = []string{o.String() + ": " + o.Meaning()}
		}
		if diff := cmp.Diff(want, p.Notes()); diff != "" {
			t.Errorf("notes about %s (-want +got):\n%s", o, diff)
		}
	}
}
