// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// tracedPing is what one trace says.
type tracedPing struct {
	root, deliver time.Duration
}

// readTraces reads an OTLP file and checks each trace. The result is by sequence
// number.
func readTraces(file string) (map[int]tracedPing, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	byTrace := map[pcommon.TraceID][]ptrace.Span{}
	for line := range bytes.Lines(data) {
		batch, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, resource := range batch.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, s := range scope.Spans().All() {
					byTrace[s.TraceID()] = append(byTrace[s.TraceID()], s)
				}
			}
		}
	}
	pings := map[int]tracedPing{}
	for id, spans := range byTrace {
		seq, p, err := checkTrace(spans)
		if err != nil {
			return nil, fmt.Errorf("trace %s: %w", id, err)
		}
		pings[seq] = p
	}
	return pings, nil
}

// checkTrace fails unless the trace is complete and its journeys tiled by leaves.
func checkTrace(spans []ptrace.Span) (seq int, p tracedPing, err error) {
	children := map[pcommon.SpanID][]ptrace.Span{}
	for _, s := range spans {
		children[s.ParentSpanID()] = append(children[s.ParentSpanID()], s)
	}
	roots := children[pcommon.SpanID{}]
	if len(roots) != 1 || text(roots[0], trace.AttrOutcome) != trace.Complete.String() {
		return 0, p, fmt.Errorf("%d roots, not one that is complete", len(roots))
	}
	root := roots[0]
	p.root = duration(root)
	for _, s := range children[root.SpanID()] {
		leaves := leavesOf(s, children)
		if err := checkTiling(s, leaves); err != nil {
			return 0, p, err
		}
		for _, c := range children[s.SpanID()] {
			if s.Name() == trace.KindReply.String() && c.Name() == trace.KindDeliver.String() {
				p.deliver = duration(c)
			}
		}
	}
	v, ok := root.Attributes().Get(trace.AttrICMPSeq)
	if !ok {
		return 0, p, fmt.Errorf("no %s", trace.AttrICMPSeq)
	}
	return int(v.Int()), p, nil
}

// leavesOf returns the spans below s that have no children, in order of time.
func leavesOf(s ptrace.Span, children map[pcommon.SpanID][]ptrace.Span) []ptrace.Span {
	below := children[s.SpanID()]
	if len(below) == 0 {
		return []ptrace.Span{s}
	}
	var leaves []ptrace.Span
	for _, c := range below {
		leaves = append(leaves, leavesOf(c, children)...)
	}
	slices.SortFunc(leaves, func(a, b ptrace.Span) int { return cmp.Compare(a.StartTimestamp(), b.StartTimestamp()) })
	return leaves
}

// checkTiling fails if the leaves leave a gap, overlap, or do not fill s.
func checkTiling(s ptrace.Span, leaves []ptrace.Span) error {
	at := s.StartTimestamp()
	for _, l := range leaves {
		if l.StartTimestamp() != at {
			return fmt.Errorf("%s: leaf %s begins at %d, not at %d", s.Name(), l.Name(), l.StartTimestamp(), at)
		}
		at = l.EndTimestamp()
	}
	if at != s.EndTimestamp() {
		return fmt.Errorf("%s: leaves end at %d, not at %d", s.Name(), at, s.EndTimestamp())
	}
	return nil
}

func duration(s ptrace.Span) time.Duration {
	return time.Duration(s.EndTimestamp() - s.StartTimestamp())
}

func text(s ptrace.Span, key string) string {
	v, _ := s.Attributes().Get(key)
	return v.Str()
}
