// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Add keeps, for any tree, what its spans say of their place; After leads over it.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr trace.Trace
		open := []int{tr.Add(trace.NoParent, trace.Span{Kind: trace.KindPing})}
		last := map[int]int{} // the last span below each
		for range rapid.IntRange(0, 30).Draw(t, "spans") {
			depth := rapid.IntRange(1, len(open)).Draw(t, "depth")
			kind := trace.KindDevice
			if depth == 1 {
				kind = rapid.SampledFrom([]trace.Kind{trace.KindRequest, trace.KindReply, trace.KindBeyond}).Draw(t, "kind")
			}
			open = append(open[:depth], 0)
			open[depth] = tr.Add(open[depth-1], trace.Span{Kind: kind, Parent: 99, Depth: 99, Direction: 99})
			for _, around := range open {
				last[around] = open[depth]
			}
			s := &tr.Spans[open[depth]]
			if s.Parent != open[depth-1] || int(s.Depth) != depth || s.Direction != directionOf(&tr, open[1]) {
				t.Fatalf("below %v: parent %d, depth %d, direction %q", open, s.Parent, s.Depth, s.Direction)
			}
		}
		for i := range tr.Spans {
			if got, want := tr.After(i), max(last[i], i)+1; got != want {
				t.Fatalf("after span %d comes %d, want %d", i, got, want)
			}
		}
	})
}

func directionOf(tr *trace.Trace, journey int) trace.Direction {
	return map[trace.Kind]trace.Direction{
		trace.KindRequest: trace.Request, trace.KindReply: trace.Reply,
	}[tr.Spans[journey].Kind]
}
