// SPDX-License-Identifier: Apache-2.0

// Package otlp makes OTLP of traces. What it makes depends on the traces and the
// options alone: no clock, no network, and it cannot fail.
//
// It does not use the OpenTelemetry SDK's spans: the IDs of a trace are derived
// from the packet and its times from the kernel, both of which the SDK would make
// up itself. Nor does it build OTLP's protobuf messages before they are encoded:
// that took three times as long as all the rest of the way out.
package otlp

import (
	"slices"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// ScopeName is the instrumentation scope of all spans.
const ScopeName = "github.com/dwelltrace/dwell"

// Spans returns the spans of the traces as messages: those that an [Encoder]
// encodes.
func Spans(traces []*trace.Trace, o Options) []*tracepb.ResourceSpans {
	var d tracepb.TracesData
	if err := proto.Unmarshal(NewEncoder(o).Append(nil, traces), &d); err != nil {
		panic("otlp: the encoder is wrong: " + err.Error())
	}
	return d.ResourceSpans
}

// Encoder encodes traces. It remembers what repeats and is therefore worth keeping.
// It may not be used concurrently.
type Encoder struct {
	options   Options
	scope     []byte
	places    memo[place, placeFields]
	plain     memo[addresses, []byte]
	tunnelled memo[trace.Packet, []byte]
	endings   memo[ending, []byte]
	resources memo[*trace.NetNS, []byte]
	graph     graph
	ids       ids

	dwell, icmpID, icmpSeq, payloadLen intAttribute
	flags, remoteFlags                 []byte

	// What follows is empty between two calls.

	// spans holds all encoded spans as they came.
	spans   []byte
	chain   []link
	groups  []group
	byNetNS map[*trace.NetNS]int
	// latest is the group of the span before.
	latest int
}

// group is the spans of one resource.
type group struct {
	netns *trace.NetNS
	// first and last are in the encoder's chain.
	first, last int
	// size is that of all spans in bytes.
	size int
}

// link is encoded spans that came one after the other, with the next ones of their group.
type link struct{ start, end, next int }

// NewEncoder returns an encoder for traces of these options.
func NewEncoder(o Options) *Encoder {
	o.Graph = o.Graph && !o.oneService()
	var scope []byte
	scope = appendText(scope, scopeName, ScopeName)
	scope = appendText(scope, scopeVersion, o.Version)
	e := &Encoder{
		options: o,
		scope:   appendBytes(nil, scopeSpansScope, scope),
		byNetNS: make(map[*trace.NetNS]int),

		places:    newMemo(encodePlace),
		plain:     newMemo(encodeAddresses),
		tunnelled: newMemo(encodePacket),
		endings:   newMemo(encodeEnding),

		dwell:      newIntAttribute(trace.AttrDwellNS),
		icmpID:     newIntAttribute(trace.AttrICMPID),
		icmpSeq:    newIntAttribute(trace.AttrICMPSeq),
		payloadLen: newIntAttribute(trace.AttrPayloadLen),

		flags:       encodeFlags(flags),
		remoteFlags: encodeFlags(flags | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)),
	}
	e.resources = newMemo(e.resource)
	return e
}

// The fields of ExportTraceServiceRequest, which are those of TracesData, and of
// what it contains (opentelemetry/proto/trace/v1/trace.proto).
const (
	requestResourceSpans  = 1
	resourceSpansResource = 1
	resourceSpansScopes   = 2
	scopeSpansScope       = 1
	scopeSpansSpans       = 2
	scopeName             = 1
	scopeVersion          = 2
	resourceAttributes    = 1
)

// Append appends the traces to b as an encoded ExportTraceServiceRequest, which is
// also a TracesData: one resource for each network namespace in order of first
// appearance.
func (e *Encoder) Append(b []byte, traces []*trace.Trace) []byte {
	for _, t := range traces {
		e.ids.begin(t)
		for i := range t.Spans {
			start := len(e.spans)
			body, at := openMessage(e.spans, scopeSpansSpans)
			e.spans = closeMessage(e.span(body, t, i), at)
			e.add(t.Spans[i].NetNS, start)
		}
	}
	b = slices.Grow(b, len(e.spans)+len(e.groups)*groupOverhead)
	for i := range e.groups {
		b = e.appendGroup(b, &e.groups[i])
	}
	e.spans, e.chain = e.spans[:0], e.chain[:0]
	clear(e.groups)
	e.groups = e.groups[:0]
	clear(e.byNetNS)
	return b
}

// groupOverhead is about what a resource takes, in bytes.
const groupOverhead = 512

// add appends the last encoded span to the group of its namespace.
func (e *Encoder) add(ns *trace.NetNS, start int) {
	n, size := len(e.chain), len(e.spans)-start
	if g := e.latest; g < len(e.groups) && e.groups[g].netns == ns {
		e.chain[n-1].end = len(e.spans)
		e.groups[g].size += size
		return
	}
	e.chain = append(e.chain, link{start: start, end: len(e.spans)})
	i, ok := e.byNetNS[ns]
	if e.latest = i; ok {
		g := &e.groups[i]
		e.chain[g.last].next = n
		g.last = n
		g.size += size
		return
	}
	e.latest = len(e.groups)
	e.byNetNS[ns] = e.latest
	e.groups = append(e.groups, group{netns: ns, first: n, last: n, size: size})
}

func (e *Encoder) appendGroup(b []byte, g *group) []byte {
	resource := *e.resources.get(&g.netns)
	scope := len(e.scope) + g.size
	size := len(resource) + protowire.SizeTag(resourceSpansScopes) + protowire.SizeBytes(scope)
	b = protowire.AppendTag(b, requestResourceSpans, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, resource...)
	b = protowire.AppendTag(b, resourceSpansScopes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(scope))
	b = append(b, e.scope...)
	for i := g.first; ; i = e.chain[i].next {
		l := e.chain[i]
		b = append(b, e.spans[l.start:l.end]...)
		if i == g.last {
			return b
		}
	}
}

// resource returns the encoded field of ResourceSpans for a namespace.
func (e *Encoder) resource(ns *trace.NetNS) []byte {
	b, start := openMessage(nil, resourceSpansResource)
	for _, a := range e.options.resource(ns) {
		b = a.append(b, resourceAttributes)
	}
	return closeMessage(b, start)
}
