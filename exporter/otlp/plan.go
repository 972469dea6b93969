// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// planned is a span of which it is known what it will be encoded to, and how long that is. All
// spans of a request are planned before the first one is encoded: each resource begins with the
// length of all its spans, which come in any order, so that what was encoded before that would
// have to be copied.
type planned struct {
	span *trace.Span
	ids  *ids
	// parent is nil if there is none.
	parent *trace.SpanID
	// place and packet are encoded fields, or place is nil if both are among the particulars.
	place  *placeFields
	packet *[]byte
	// from and to are where in the encoder's particulars are those of this span.
	from, to int
	// size is the length of the message.
	size int
	kind tracepb.Span_SpanKind
	// remote is set if the parent is on another host.
	remote bool
}

// plan plans span i of t, whose ids are known.
func (e *Encoder) plan(p *planned, t *trace.Trace, i int) {
	s := &t.Spans[i]
	parent, kind := s.Parent, tracepb.Span_SPAN_KIND_INTERNAL
	if e.options.Graph {
		parent, kind = e.graph.next(t, i)
	}
	at := placeOf(s)
	place, packet := e.places.get(&at), e.packet(s.Packet)
	above := e.above(t, parent)
	from := len(e.particulars)
	size := p.ids.size(above) + len(e.flags)
	if s.Title != "" || s.Start == 0 || s.End == 0 {
		b := append(place.appendUnusual(e.particulars, s, kind), *packet...)
		e.particulars = e.dwell.append(b, s.Duration())
		place = nil
	} else {
		size += len(place.fields) + len(*packet) + e.dwell.size(s.Duration())
	}
	if i == 0 || s.Error != "" || len(s.Events) > 0 || s.Kind == trace.KindBeyond {
		e.particulars = e.appendParticulars(e.particulars, t, i)
	}
	p.span, p.parent, p.place, p.packet, p.kind = s, above, place, packet, kind
	p.from, p.to, p.size = from, len(e.particulars), size+len(e.particulars)-from
	p.remote = s.Parent == trace.NoParent && t.Remote != (trace.SpanID{})
}

// above returns the ID of the parent of a span, that of the root on another host if there is one,
// or nil.
func (e *Encoder) above(t *trace.Trace, parent int) *trace.SpanID {
	switch {
	case parent != trace.NoParent:
		return &t.Spans[parent].ID
	case e.options.Graph && t.RemoteTurn != (trace.SpanID{}):
		return &t.RemoteTurn
	case t.Remote != (trace.SpanID{}):
		return &t.Remote
	}
	return nil
}

// append appends a span that was planned.
func (e *Encoder) append(b []byte, p *planned) []byte {
	b = appendLength(append(b, tag(scopeSpansSpans, protowire.BytesType)), p.size)
	b = p.ids.append(b, &p.span.ID, p.parent)
	if p.place != nil {
		b = p.place.append(b, p.span, p.kind)
		b = append(b, *p.packet...)
		b = e.dwell.append(b, p.span.Duration())
	}
	b = append(b, e.particulars[p.from:p.to]...)
	if p.remote {
		return append(b, e.remoteFlags...)
	}
	return append(b, e.flags...)
}
