// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The fields of Span, Event and Status that are written
// (opentelemetry/proto/trace/v1/trace.proto).
const (
	spanTraceID    = 1
	spanID         = 2
	spanTraceState = 3
	spanParentID   = 4
	spanName       = 5
	spanKind       = 6
	spanStart      = 7
	spanEnd        = 8
	spanAttributes = 9
	spanEvents     = 11
	spanStatus     = 15
	spanFlags      = 16

	eventTime       = 1
	eventName       = 2
	eventAttributes = 3

	statusMessage = 2
	statusCode    = 3
)

// flags of every span: W3C "sampled" and "random", because a trace ID is a hash, all of
// whose bits samplers may use (https://www.w3.org/TR/trace-context-2/#trace-flags), and
// that the parent is known to be of the same process
// (opentelemetry/proto/trace/v1/trace.proto, SpanFlags).
const flags = 0x01 | 0x02 | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)

// span appends the fields of span i of t.
func (e *Encoder) span(b []byte, t *trace.Trace, i int) []byte {
	s := &t.Spans[i]
	at := placeOf(s)
	place := e.places.get(&at)
	b = appendBytes(b, spanTraceID, t.ID[:])
	b = appendBytes(b, spanID, s.ID[:])
	b = appendText(b, spanTraceState, t.State)
	parent, kind := s.Parent, tracepb.Span_SPAN_KIND_INTERNAL
	remote := t.Remote
	if e.options.Graph {
		parent, kind = e.graph.next(t, i)
		if t.RemoteTurn != (trace.SpanID{}) {
			remote = t.RemoteTurn
		}
	}
	if parent != trace.NoParent {
		b = appendBytes(b, spanParentID, t.Spans[parent].ID[:])
	} else if remote != (trace.SpanID{}) {
		b = appendBytes(b, spanParentID, remote[:])
	}
	if s.Title != "" {
		b = appendText(b, spanName, s.Title)
	} else {
		b = append(b, place.name...)
	}
	b = protowire.AppendTag(b, spanKind, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(kind))
	b = appendFixed64(b, spanStart, uint64(s.Start))
	b = appendFixed64(b, spanEnd, uint64(s.End))
	b = append(b, place.attributes...)
	b = e.ownAttributes(b, t, i)
	b = events(b, s.Events)
	b = status(b, t, i)
	b = protowire.AppendTag(b, spanFlags, protowire.Fixed32Type)
	if s.Parent == trace.NoParent && t.Remote != (trace.SpanID{}) {
		return protowire.AppendFixed32(b, flags|uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK))
	}
	return protowire.AppendFixed32(b, flags)
}

// ownAttributes appends those attributes of span i that its place does not decide.
func (e *Encoder) ownAttributes(b []byte, t *trace.Trace, i int) []byte {
	s := &t.Spans[i]
	b = append(b, e.packets.get(&s.Packet)...)
	a := attributes{b: e.dwell.append(b, s.Duration()), field: spanAttributes}
	if e.options.Graph && s.Kind == trace.KindBeyond && s.Packet.Dst.IsValid() {
		a.string(trace.AttrServerAddress, s.Packet.Dst.String())
	}
	a.some(trace.AttrErrorType, errorType(t, i))
	if e := droppedBy(t, i); e != nil {
		a.some(trace.AttrRuleName, e.Text(trace.AttrRuleName))
		a.some(trace.AttrRuleUUID, e.Text(trace.AttrRuleUUID))
	}
	if i == 0 {
		a.root(t)
	}
	return a.b
}

func events(b []byte, events []trace.Event) []byte {
	for _, event := range events {
		var start int
		b, start = openMessage(b, spanEvents)
		b = appendFixed64(b, eventTime, uint64(event.Time))
		b = appendText(b, eventName, event.Name)
		a := attributes{b: b, field: eventAttributes}
		a.event(event.Attrs)
		b = closeMessage(a.b, start)
	}
	return b
}

// status appends an error with a sentence for people where the packet died, and on
// the root of a ping that lost a packet that way or was answered with an ICMP error. A
// ping whose time to live ran out has no status: traceroute asks for that.
func status(b []byte, t *trace.Trace, i int) []byte {
	reason := errorType(t, i)
	if reason == "" {
		return b
	}
	message := "the kernel dropped a packet of this ping: " + reason
	if reason == t.Outcome.ErrorType() {
		message = t.Outcome.Meaning()
	} else if d := t.Spans[i].Direction; d != trace.NoDirection {
		message = "the kernel dropped the echo " + d.String() + " here: " + reason
	}
	if e := droppedBy(t, i); e != nil && e.Blame() != "" {
		message += ", because of " + e.Blame()
	}
	b, start := openMessage(b, spanStatus)
	b = appendText(b, statusMessage, message)
	b = protowire.AppendTag(b, statusCode, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(tracepb.Status_STATUS_CODE_ERROR))
	return closeMessage(b, start)
}

// droppedBy returns the event of the rule because of which span i has an error, or nil.
func droppedBy(t *trace.Trace, i int) *trace.Event {
	if t.Spans[i].Error == "" {
		return nil
	}
	return t.Dropped(i)
}

// errorType returns the value of error.type to put on a span, or "".
func errorType(t *trace.Trace, i int) string {
	switch e := t.Spans[i].Error; {
	case e != "" || i > 0:
		return e
	case t.Outcome == trace.Dropped:
		return t.DropReason
	}
	return t.Outcome.ErrorType()
}
