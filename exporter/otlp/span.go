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

func encodeFlags(f uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, spanFlags, protowire.Fixed32Type), f)
}

// appendParticulars appends what few spans have: attributes that their place does not decide,
// events and a status.
func (e *Encoder) appendParticulars(b []byte, t *trace.Trace, i int) []byte {
	s := &t.Spans[i]
	a := attributes{b: b, field: spanAttributes}
	if _, dst := s.Packet.Addresses(); e.options.Graph && s.Kind == trace.KindBeyond && dst.IsValid() {
		a.string(trace.AttrServerAddress, dst.String())
	}
	a.some(trace.AttrErrorType, errorType(t, i))
	if e := droppedBy(t, i); e != nil {
		a.some(trace.AttrRuleName, e.Text(trace.AttrRuleName))
		a.some(trace.AttrRuleUUID, e.Text(trace.AttrRuleUUID))
	}
	if i == 0 {
		a.b = e.root(a.b, t)
	}
	return status(events(a.b, s.Events), t, i)
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
	b = append(b, tag(statusCode, protowire.VarintType), byte(tracepb.Status_STATUS_CODE_ERROR))
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
