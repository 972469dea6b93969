// SPDX-License-Identifier: Apache-2.0

package trace

// NoParent is the Parent of the root.
const NoParent = -1

// Direction says which of the two packets of a ping a span is about.
type Direction uint8

// The directions.
const (
	// NoDirection is that of the root and of what is between the journeys.
	NoDirection Direction = iota
	// Request is that of the request's journey and of everything in it.
	Request
	// Reply is that of a reply's journey and of everything in it.
	Reply
)

// String returns "request", "reply" or "".
func (d Direction) String() string {
	switch d {
	case Request:
		return "request"
	case Reply:
		return "reply"
	}
	return ""
}

// Add appends s as the last child of the span with the index parent, which is NoParent
// for the root, and returns the index of s. It sets Parent, Depth and Direction, and
// Trace.ReplySpan if s is the first journey of a reply. The parent must be the span added last or one around that, because spans are in
// depth-first order.
func (t *Trace) Add(parent int, s Span) int {
	i, added := t.Open(parent, s.Kind)
	s.Parent, s.Depth, s.Direction = added.Parent, added.Depth, added.Direction
	*added = s
	return i
}

// Open is Add for a span of which the rest is still to be filled in: it returns its index
// and where it is until the next is added.
func (t *Trace) Open(parent int, kind Kind) (int, *Span) {
	i := len(t.Spans)
	t.Spans = append(t.Spans, Span{})
	s := &t.Spans[i]
	s.Kind, s.Parent = kind, parent
	if parent != NoParent {
		p := &t.Spans[parent]
		s.Depth, s.Direction = p.Depth+1, p.Direction
	}
	switch kind {
	case KindRequest:
		s.Direction = Request
	case KindReply:
		s.Direction = Reply
		if t.ReplySpan == 0 {
			t.ReplySpan = i
		}
	}
	return i, s
}

// After returns the index of the first span that comes after span i and is not below it,
// or the number of spans if there is none. The spans below i are therefore those from i+1
// to After(i)-1. Its first child is i+1, and the next sibling of a child c is After(c).
func (t *Trace) After(i int) int {
	after := i + 1
	for after < len(t.Spans) && t.Spans[after].Depth > t.Spans[i].Depth {
		after++
	}
	return after
}
