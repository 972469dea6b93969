// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// graph hangs the spans of a trace so that backends can draw which namespace leads to which.
// Tempo and the Collector's connector draw an edge for each span of the kind SERVER whose own
// parent is of the kind CLIENT, Jaeger for each span whose parent is of another service. So
// what a journey passes in the next namespace hangs below the leaf that led there, and in a
// request these two ends are client and server. So are the sending host's span of the time that
// a ping was away, and the root of a host that it reached. It sees the spans in their order.
type graph struct {
	// journey is the index of the journey that the spans are in, 0 before the first one.
	journey int
	// via is the index of the leaf that led into the present namespace, or that of the journey.
	via int
	// entering is set if the next span is the first in another namespace, asked if the one
	// before it is a client.
	entering, asked bool
}

// next takes span i of t, and returns the index of the span that it hangs below, and its kind.
// A span that is alone in its namespace would have to be both, and is a server.
func (g *graph) next(t *trace.Trace, i int) (parent int, kind tracepb.Span_SpanKind) {
	s := &t.Spans[i]
	parent, kind = s.Parent, tracepb.Span_SPAN_KIND_INTERNAL
	if i == 0 {
		if t.RemoteTurn != (trace.SpanID{}) { // below that, which is a client, on another host
			kind = tracepb.Span_SPAN_KIND_SERVER
		}
		return parent, kind
	}
	if parent == 0 {
		*g = graph{journey: i, via: i}
		if s.Kind == trace.KindBeyond {
			kind = tracepb.Span_SPAN_KIND_CLIENT // of what is not known by name
		}
		return parent, kind
	}
	if g.entering {
		g.via = i - 1
	}
	if g.asked {
		kind = tracepb.Span_SPAN_KIND_SERVER
	}
	if parent == g.journey {
		parent = g.via
	}
	g.entering = g.leads(t, i)
	g.asked = g.entering && s.Direction == trace.Request && kind == tracepb.Span_SPAN_KIND_INTERNAL
	if g.asked {
		kind = tracepb.Span_SPAN_KIND_CLIENT
	}
	return parent, kind
}

// leads reports whether the packet goes from span i, the last of its namespace, into another one
// that is another service.
func (g *graph) leads(t *trace.Trace, i int) bool {
	if i+1 >= len(t.Spans) || t.Spans[i+1].Parent != g.journey {
		return false
	}
	from, to := t.Spans[i].NetNS, t.Spans[i+1].NetNS
	return from != to && from != nil && to != nil && from.Name != to.Name
}
