// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Waterfall is one ping's trace, with all that a picture of it needs.
type Waterfall struct {
	TraceID string `json:"trace_id"`
	Title   string `json:"title"`
	// NS is how long the ping took.
	NS    int64           `json:"ns"`
	Spans []WaterfallSpan `json:"spans"`
}

// WaterfallSpan is a span; times are from the beginning of the ping.
type WaterfallSpan struct {
	Depth  int    `json:"depth"`
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Role   string `json:"role"`
	Start  int64  `json:"start_ns"`
	NS     int64  `json:"ns"`
	Leaf   bool   `json:"leaf"`
	Events []Note `json:"events,omitempty"`
}

// Note is what happened within a span.
type Note struct {
	At   int64  `json:"at_ns"`
	Text string `json:"text"`
}

// waterfall flattens a trace, or returns nil for nil.
func (c *Collector) waterfall(t *trace.Trace) *Waterfall {
	if t == nil {
		return nil
	}
	w := &Waterfall{TraceID: t.ID.String(), Title: t.Ping.String(), NS: t.Root().Duration()}
	for i := range t.Spans {
		s := &t.Spans[i]
		span := WaterfallSpan{
			Depth: int(s.Depth), Kind: s.Kind.String(), Name: c.name(s), Role: c.role(s.NetNS),
			Start: s.Start - t.Root().Start, NS: s.Duration(), Leaf: s.Leaf,
		}
		for _, e := range s.Events {
			span.Events = append(span.Events, Note{At: e.Time - t.Root().Start, Text: noteText(e)})
		}
		w.Spans = append(w.Spans, span)
	}
	return w
}

// noteText returns "nat BEFORE → AFTER", or the event's name and its attributes.
func noteText(e trace.Event) string {
	var values []string
	for _, a := range e.Attrs {
		values = append(values, a.Value())
	}
	if e.Name == trace.EventNAT {
		return e.Name + " " + strings.Join(values, " → ")
	}
	return strings.TrimSpace(e.Name + " " + strings.Join(values, ", "))
}
