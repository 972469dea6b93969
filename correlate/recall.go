// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Nearly all pings of a program pass the same hooks in the same order, and most of what is to be said of
// them is the same: if two have the same shape and all their events are alike, their traces differ
// in nothing but times and IDs. So the trace of the one is made from that of the other, as long as
// names are what they were, too. Only complete pings are remembered. The trace of any other ping, or
// of one whose packets a program acted on, is made from its own events alone.

// A memory has room for 256 flows, which it finds in sets of four.
const (
	memorySetBits = 6
	memorySetSize = 4
)

// memory holds a template for each of some flows.
type memory struct {
	shape     shape
	sets      [1 << memorySetBits][memorySetSize]slot
	questions questions
	// recalled counts the traces that were made from templates. off is set by tests that compare.
	recalled uint64
	off      bool
}

// slot is what is remembered of a flow: of a ping and its trace, some 12 KiB.
type slot struct {
	// hash is that of its shape.
	hash     uint64
	template *template
}

// template is a ping that was complete.
type template struct {
	shape  shape
	events []event.Event
	// trace has indexes of events in place of times. first is the index of the event from which the
	// IDs are derived.
	trace trace.Trace
	first int
	// answers are those of the Resolver on which the trace depends.
	answers answers
}

// recall returns the trace of p if one that is like it is remembered, otherwise nil. Then keep is
// to be called with the trace that was made of it.
func (m *memory) recall(p *ping, o *Options) *trace.Trace {
	m.questions.noted = nil
	if m.off || !m.shape.of(p) {
		return nil
	}
	s, second := m.slot()
	if s.template != nil && s.template.is(&m.shape, p.events) && m.questions.same(&s.template.answers) {
		m.recalled++
		return s.template.instance(&m.shape, p.events, o)
	}
	if second { // many more will come
		m.questions.noted = new(answers)
	}
	return nil
}

// slot returns the slot of the flow to which the shape belongs, which is then the first of its set, and
// whether there has been another ping of it. If not, the slot is that of the flow in the set of which
// there was none for longest.
func (m *memory) slot() (s *slot, second bool) {
	set := &m.sets[m.shape.hash>>(64-memorySetBits)] // these bits depend on all that was mixed
	i := slices.IndexFunc(set[:], func(s slot) bool { return s.hash == m.shape.hash })
	found := slot{hash: m.shape.hash}
	if i >= 0 {
		found, second = set[i], true
	} else {
		i = memorySetSize - 1
	}
	copy(set[1:i+1], set[:i])
	set[0] = found
	return &set[0], second
}

// keep remembers the trace of p if another of its flow came before.
func (m *memory) keep(p *ping, t *trace.Trace) {
	noted := m.questions.noted
	m.questions.noted = nil
	if noted == nil || t == nil || t.Outcome != trace.Complete {
		return
	}
	k := &template{shape: m.shape, events: slices.Clone(p.events), trace: *t, answers: *noted}
	k.index(t.Spans)
	s, _ := m.slot()
	s.template = k
}

// is reports whether a ping of a shape is like that of the template.
func (k *template) is(s *shape, events []event.Event) bool {
	if !k.shape.same(s) {
		return false
	}
	for i := range events {
		if !alike(&k.events[i], &events[i]) {
			return false
		}
	}
	return true
}

// index copies spans to the template, with indexes of events in place of times. Each time in a trace
// is that of an event.
func (k *template) index(spans []trace.Span) {
	times := k.shape.times[:k.shape.n]
	indexOf := func(time *int64) {
		i, _ := slices.BinarySearch(times, *time)
		*time = int64(i)
	}
	k.trace.Spans = slices.Clone(spans)
	for i := range k.trace.Spans {
		s := &k.trace.Spans[i]
		indexOf(&s.Start)
		indexOf(&s.End)
		s.Events = slices.Clone(s.Events)
		for j := range s.Events {
			indexOf(&s.Events[j].Time)
		}
	}
	first := slices.IndexFunc(k.trace.Spans, func(s trace.Span) bool { return s.Kind.Journey() })
	k.first = int(k.trace.Spans[first].Start)
}

// instance returns the trace of a ping that is like that of the template. It shares with others what
// is not changed once a trace is made.
func (k *template) instance(s *shape, events []event.Event, o *Options) *trace.Trace {
	t := k.trace
	first := &events[k.first]
	t.Ping.Seq = first.Seq
	t.Spans = slices.Clone(k.trace.Spans)
	for i := range t.Spans {
		span := &t.Spans[i]
		span.Start, span.End = s.times[span.Start], s.times[span.End]
		if len(span.Events) > 0 {
			span.Events = slices.Clone(span.Events)
			for j := range span.Events {
				e := &span.Events[j]
				e.Time = s.times[e.Time]
			}
		}
	}
	o.identify(&t, first, t.RemoteTurn != (trace.SpanID{}))
	return &t
}
