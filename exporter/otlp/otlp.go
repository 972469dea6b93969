// SPDX-License-Identifier: Apache-2.0

// Package otlp makes OTLP messages of traces. It is a pure function of the traces
// and the options: no clock, no network, no state, and it cannot fail.
//
// The messages are OTLP's own protobuf types and not the OpenTelemetry SDK's
// spans: the IDs of a trace are derived from the packet and its times from the
// kernel, both of which the SDK would make up itself.
package otlp

import (
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/spantree"
)

// ScopeName is the instrumentation scope of all spans.
const ScopeName = "github.com/dwelltrace/dwell"

// flags of every span: W3C "sampled", and that the parent is known to be of the
// same process (opentelemetry/proto/trace/v1/trace.proto, SpanFlags).
const flags = 0x01 | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)

// Spans returns the spans of the traces, one resource for each network namespace
// in order of first appearance. The result shares the IDs' memory with the traces,
// which must therefore not be changed while it is in use.
func Spans(traces []*trace.Trace, o Options) []*tracepb.ResourceSpans {
	n := 0
	for _, t := range traces {
		n += len(t.Spans)
	}
	c := newConversion(o, n)
	for _, t := range traces {
		c.trace(t)
	}
	return c.resources
}

// conversion is the state of one call of Spans.
type conversion struct {
	options   Options
	scope     *commonpb.InstrumentationScope
	resources []*tracepb.ResourceSpans
	byNetNS   map[*trace.NetNS]*tracepb.ScopeSpans
	nodes     []spantree.Node

	memos memos
	spans slab[tracepb.Span]
	ints  slab[intAttr]
	lists slab[*commonpb.KeyValue]
}

// typicalAttributes is how many a span mostly has. It decides how much is
// allocated at a time, nothing else.
const typicalAttributes = 8

func newConversion(o Options, spans int) *conversion {
	chunk := min(spans, 256)
	return &conversion{
		options: o,
		scope:   &commonpb.InstrumentationScope{Name: ScopeName, Version: o.Version},
		byNetNS: make(map[*trace.NetNS]*tracepb.ScopeSpans),
		memos:   newMemos(),
		spans:   slab[tracepb.Span]{chunk: chunk},
		ints:    slab[intAttr]{chunk: chunk},
		lists:   slab[*commonpb.KeyValue]{chunk: chunk * typicalAttributes},
	}
}

func (c *conversion) trace(t *trace.Trace) {
	c.nodes = spantree.Nodes(t, c.nodes)
	for i := range t.Spans {
		ss := c.namespace(t.Spans[i].NetNS)
		ss.Spans = append(ss.Spans, c.span(t, i))
	}
}

func (c *conversion) namespace(ns *trace.NetNS) *tracepb.ScopeSpans {
	if ss, ok := c.byNetNS[ns]; ok {
		return ss
	}
	ss := &tracepb.ScopeSpans{Scope: c.scope}
	c.byNetNS[ns] = ss
	c.resources = append(c.resources, &tracepb.ResourceSpans{
		Resource:   &resourcepb.Resource{Attributes: c.options.resource(ns)},
		ScopeSpans: []*tracepb.ScopeSpans{ss},
	})
	return ss
}

func (c *conversion) span(t *trace.Trace, i int) *tracepb.Span {
	s := &t.Spans[i]
	p := c.spans.next()
	p.TraceId = t.ID[:]
	p.SpanId = s.ID[:]
	if s.Parent != (trace.SpanID{}) {
		p.ParentSpanId = s.Parent[:]
	}
	p.Flags = flags
	p.Name = s.Name()
	p.Kind = tracepb.Span_SPAN_KIND_INTERNAL
	p.StartTimeUnixNano = uint64(s.Start)
	p.EndTimeUnixNano = uint64(s.End)
	p.Attributes = c.attributes(t, i)
	p.Events = c.events(s.Events)
	p.Status = status(t, i, c.nodes[i].Direction)
	return p
}

func (c *conversion) events(events []trace.Event) []*tracepb.Span_Event {
	if len(events) == 0 {
		return nil
	}
	out := make([]*tracepb.Span_Event, len(events))
	for i, e := range events {
		out[i] = &tracepb.Span_Event{TimeUnixNano: uint64(e.Time), Name: e.Name, Attributes: c.eventAttributes(e.Attrs)}
	}
	return out
}

// status is Error with a sentence for people where the packet died, and on the
// root of a ping that lost a packet that way.
func status(t *trace.Trace, i int, d spantree.Direction) *tracepb.Status {
	reason := errorType(t, i)
	if reason == "" {
		return nil
	}
	message := "the kernel dropped a packet of this ping: " + reason
	if d != spantree.Neither {
		message = "the kernel dropped the echo " + d.String() + " here: " + reason
	}
	return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: message}
}

// errorType returns the drop reason to be told on a span, or "".
func errorType(t *trace.Trace, i int) string {
	if e := t.Spans[i].Error; e != "" || i > 0 || t.Outcome != trace.Dropped {
		return e
	}
	return t.DropReason
}
