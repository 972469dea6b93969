// SPDX-License-Identifier: Apache-2.0

package tally_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/tally"
)

// What took the fast path is counted by ping, what did not by packet and reason.
func TestFastPathIsCounted(t *testing.T) {
	leaf := func(kind trace.Kind, reasons ...string) trace.Span {
		s := trace.Span{Kind: kind, Leaf: true}
		for _, r := range reasons {
			s.Events = append(s.Events, trace.Event{Name: trace.EventFallback, Attrs: []trace.Attr{trace.String(trace.AttrFastPathReason, r)}})
		}
		return s
	}
	var p tally.Counts
	for _, spans := range [][]trace.Span{
		{leaf(trace.KindFastPath), leaf(trace.KindFastPath)},
		{leaf(trace.KindFastPath), leaf(trace.KindForward, "lease")},
		{leaf(trace.KindForward, "unknown"), leaf(trace.KindForward, "lease")},
	} {
		p.Add(&trace.Trace{Outcome: trace.Complete, Spans: spans})
	}
	before := p.Clone()
	p.Add(&trace.Trace{Outcome: trace.Complete, Spans: []trace.Span{leaf(trace.KindForward, "lease")}})
	if !strings.HasSuffix(p.String(), ", 2 by the fast path") {
		t.Errorf("%s", p)
	}
	want := []string{"4 packets left to the kernel by the fast path (lease: 3, unknown: 1)"}
	if diff := cmp.Diff(want, p.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if before.Slow["lease"] != 2 {
		t.Error("the clone has changed")
	}
}
