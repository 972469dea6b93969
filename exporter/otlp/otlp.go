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

	// lastPacket is the packet of the last span, and lastEncoded its attributes.
	lastPacket  *trace.Packet
	lastEncoded *[]byte

	dwell, icmpID, icmpSeq, payloadLen intAttribute
	flags, remoteFlags                 []byte

	// What follows is empty between two calls.

	// ids are those of each trace. spans are all spans as they came, and particulars what they
	// have of their own.
	ids         []ids
	spans       []planned
	particulars []byte

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

// link is planned spans that came one after the other, with the next ones of their group.
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
	e.begin(traces)
	for i, t := range traces {
		e.ids[i].begin(t)
		for j := range t.Spans {
			e.spans = e.spans[:len(e.spans)+1]
			p := &e.spans[len(e.spans)-1]
			p.ids = &e.ids[i]
			e.plan(p, t, j)
			e.add(t.Spans[j].NetNS, protowire.SizeTag(scopeSpansSpans)+protowire.SizeBytes(p.size))
		}
	}
	for i := range e.groups {
		b = e.appendGroup(b, &e.groups[i])
	}
	e.end()
	return b
}

// begin makes room for the plan.
func (e *Encoder) begin(traces []*trace.Trace) {
	spans := 0
	for _, t := range traces {
		spans += len(t.Spans)
	}
	e.spans = slices.Grow(e.spans, spans)
	e.ids = slices.Grow(e.ids[:0], len(traces))[:len(traces)]
}

// end forgets the traces.
func (e *Encoder) end() {
	clear(e.spans)
	clear(e.groups)
	clear(e.byNetNS)
	e.spans, e.particulars = e.spans[:0], e.particulars[:0]
	e.chain, e.groups = e.chain[:0], e.groups[:0]
}

// add adds the last span, whose message takes so many bytes, to the group of its namespace.
func (e *Encoder) add(ns *trace.NetNS, size int) {
	n, end := len(e.chain), len(e.spans)
	if g := e.latest; g < len(e.groups) && e.groups[g].netns == ns {
		e.chain[n-1].end = end
		e.groups[g].size += size
		return
	}
	e.chain = append(e.chain, link{start: end - 1, end: end})
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
	b = slices.Grow(b, protowire.SizeTag(requestResourceSpans)+protowire.SizeBytes(size))
	b = protowire.AppendTag(b, requestResourceSpans, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = append(b, resource...)
	b = protowire.AppendTag(b, resourceSpansScopes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(scope))
	b = append(b, e.scope...)
	for i := g.first; ; i = e.chain[i].next {
		l := &e.chain[i]
		for j := l.start; j < l.end; j++ {
			b = e.append(b, &e.spans[j])
		}
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
