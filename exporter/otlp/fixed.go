// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/binary"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Most of a span's fields have a size that is always the same. So they are copied from an encoded
// span with zeros in them, and then the values are put where these zeros are.

// ids are the encoded fields from the trace ID to that of the parent, in which those of the
// spans are zeros.
type ids struct {
	fields []byte
	// parent is where the field with the parent's ID begins.
	parent int
}

// spanIDAt is where a span's ID is in ids.
const spanIDAt = 2 + len(trace.ID{}) + 2

// begin begins with the spans of another trace.
func (f *ids) begin(t *trace.Trace) {
	var none trace.SpanID
	f.fields = appendBytes(f.fields[:0], spanTraceID, t.ID[:])
	f.fields = appendBytes(f.fields, spanID, none[:])
	f.fields = appendText(f.fields, spanTraceState, t.State)
	f.parent = len(f.fields)
	f.fields = appendBytes(f.fields, spanParentID, none[:])
}

// size returns the length of what append appends.
func (f *ids) size(parent *trace.SpanID) int {
	if parent == nil {
		return f.parent
	}
	return len(f.fields)
}

// append appends the fields of a span. Its parent is nil if it has none.
func (f *ids) append(b []byte, id, parent *trace.SpanID) []byte {
	at := len(b) + spanIDAt
	if parent == nil {
		b = append(b, f.fields[:f.parent]...)
	} else {
		b = append(b, f.fields...)
		copy(b[len(b)-len(parent):], parent[:])
	}
	copy(b[at:], id[:])
	return b
}

// placeFields are the encoded fields from the name to those attributes that a place decides, in
// which kind and times are zeros.
type placeFields struct {
	fields []byte
	// kind is where the field with the kind begins, which is after the name.
	kind int
}

// Where the values are and where the fields end, from where that of the kind begins.
const (
	kindAt   = 1
	startAt  = kindAt + 1 + 1
	endAt    = startAt + 8 + 1
	timesEnd = endAt + 8
)

func newPlaceFields(name string, attributes []byte) placeFields {
	b := appendText(nil, spanName, name)
	kind := len(b)
	b = appendKind(b, 0)
	b = protowire.AppendFixed64(append(b, tag(spanStart, protowire.Fixed64Type)), 0)
	b = protowire.AppendFixed64(append(b, tag(spanEnd, protowire.Fixed64Type)), 0)
	return placeFields{fields: append(b, attributes...), kind: kind}
}

func appendKind(b []byte, kind tracepb.Span_SpanKind) []byte {
	return append(b, tag(spanKind, protowire.VarintType), byte(kind))
}

// append appends the fields of a span that has no name of its own and no time that is zero.
func (p *placeFields) append(b []byte, s *trace.Span, kind tracepb.Span_SpanKind) []byte {
	at := len(b) + p.kind
	b = append(b, p.fields...)
	fixed := b[at : at+timesEnd]
	fixed[kindAt] = byte(kind)
	binary.LittleEndian.PutUint64(fixed[startAt:], uint64(s.Start))
	binary.LittleEndian.PutUint64(fixed[endAt:], uint64(s.End))
	return b
}

// appendUnusual is append for any span: a time that is zero is left out.
func (p *placeFields) appendUnusual(b []byte, s *trace.Span, kind tracepb.Span_SpanKind) []byte {
	if s.Title != "" {
		b = appendText(b, spanName, s.Title)
	} else {
		b = append(b, p.fields[:p.kind]...)
	}
	b = appendKind(b, kind)
	b = appendFixed64(b, spanStart, uint64(s.Start))
	b = appendFixed64(b, spanEnd, uint64(s.End))
	return append(b, p.fields[p.kind+timesEnd:]...)
}
