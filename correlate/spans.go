// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// addJourney adds the span of a journey, its devices and its leaves. n is 0 for the
// request and the first reply.
func (b *builder) addJourney(j *leg, n int) {
	at, s := b.addSpan(root, j.kind, j.Start(), j.Last())
	if n > 0 {
		s.Title = fmt.Sprintf("%s (duplicate %d)", j.kind, n)
	}
	j.span = at
	for i := 0; i < len(j.Leaves); {
		size := packet.Hop(j.Leaves[i:])
		b.addHop(at, j.Leaves[i:i+max(size, 1)], size > 0)
		i += max(size, 1)
	}
	b.addCopies(j, at)
	b.addDrop(j)
}

// addHop adds leaves to the journey at index at, below a device or hypervisor span if
// they make up one.
func (b *builder) addHop(at int, leaves []packet.Leaf, hop bool) {
	parent := at
	var outside []packet.Leaf
	if hop {
		kind := trace.KindDevice
		last := len(leaves) - 1
		bridge := leaves[0].Kind == trace.KindBridge
		if !bridge && b.places.netNS(leaves[0].From.NetNS).Hypervisor {
			kind = trace.KindHypervisor
		} else if leaves[last].Kind == trace.KindDriver {
			leaves, outside = leaves[:last], leaves[last:] // the paper's device ends at net_dev_start_xmit
		}
		var s *trace.Span
		parent, s = b.addSpan(at, kind, leaves[0].From, leaves[len(leaves)-1].To)
		if kind == trace.KindDevice && !bridge {
			s.Title = "device " + s.NetNS.Name // a router is its namespace
		}
	}
	for i := range leaves {
		b.addLeaf(&leaves[i], parent, hop)
	}
	for i := range outside {
		b.addLeaf(&outside[i], at, false)
	}
}

// addLeaf adds the span of a leaf below that at index parent, and the finer leaves in it
// if there are any.
func (b *builder) addLeaf(l *packet.Leaf, parent int, inner bool) {
	i, s := b.addPart(l, parent, inner)
	b.parts = l.Parts(b.parts[:0])
	for n := range b.parts {
		part := &b.parts[n]
		_, s := b.addPart(part, i, true)
		b.finishLeaf(s, part)
	}
	if len(b.parts) == 0 {
		b.finishLeaf(s, l)
	}
}

// addPart adds the span of a leaf, or of a part of one.
func (b *builder) addPart(l *packet.Leaf, parent int, inner bool) (int, *trace.Span) {
	i, s := b.addSpan(parent, l.Kind, l.From, l.To)
	b.fillPlace(s, l)
	s.Inner = inner
	return i, s
}

// finishLeaf says that the span of a leaf has none below it, and whether the packet was rewritten
// there.
func (b *builder) finishLeaf(s *trace.Span, l *packet.Leaf) {
	s.Leaf = true
	if !l.Rewritten() {
		return
	}
	b.happened(s, trace.Event{
		Time: int64(l.To.Time), Name: trace.EventNAT,
		Attrs: []trace.Attr{
			trace.String(trace.AttrNATBefore, b.headers.text(headersOf(l.From))),
			trace.String(trace.AttrNATAfter, b.headers.text(headersOf(l.To))),
		},
	})
}

// addCopies notes each copy that left the journey at index at on the leaf in which it
// was made.
func (b *builder) addCopies(j *leg, at int) {
	if j.Last().Flags.Has(event.LaterFragment) {
		return // what went on is the rest of the packet
	}
	for _, c := range j.Copies {
		first := c.First()
		s := b.leafAt(at, int64(first.Time))
		if s == nil {
			continue
		}
		d := b.opts.Resolver.Device(first.NetNS, first.IfIndex)
		b.happened(s, trace.Event{
			Time: int64(first.Time), Name: trace.EventCopy,
			Attrs: []trace.Attr{trace.String(trace.AttrNetworkInterface, d.Name)}, Device: d,
		})
	}
}

// leafAt returns the leaf of the journey at index at in which time falls, or nil.
func (b *builder) leafAt(at int, time int64) *trace.Span {
	for i := at + 1; i < len(b.trace.Spans); i++ {
		if s := &b.trace.Spans[i]; s.Leaf && s.Start <= time && time <= s.End {
			return s
		}
	}
	return nil
}

// addDrop marks the leaf in which the packet died, what is around it, and the root. A
// request that ends with the death of its reply is not dropped itself.
func (b *builder) addDrop(j *leg) {
	end := j.Last()
	if j.Ending() != packet.Dead {
		return
	}
	reason := b.opts.Resolver.DropReason(end.Code)
	last := len(b.trace.Spans) - 1
	s := &b.trace.Spans[last]
	b.happened(s, trace.Event{
		Time: int64(end.Time), Name: trace.EventDrop,
		Attrs: []trace.Attr{trace.String(trace.AttrDropReason, reason)},
	})
	b.markUp(last, func(s *trace.Span) { s.Error = reason })
	if j == b.request || j == b.reply {
		b.trace.Root().Error = reason
		b.trace.DropReason = reason
	}
}

// markUnfinished marks where each journey of an incomplete trace was seen last, unless it
// is known how it ended.
func (b *builder) markUnfinished() {
	if b.trace.Outcome != trace.Incomplete {
		return
	}
	for j := range b.journeys {
		if !ended(j) {
			b.markUp(b.trace.After(j.span)-1, func(s *trace.Span) { s.Unfinished = true })
		}
	}
}

// ended reports whether it is known how the journey ended: the packet died, or its last
// leaf is one of those with which a packet leaves the host or is taken.
func ended(j *leg) bool {
	if len(j.Leaves) > 0 {
		switch last := &j.Leaves[len(j.Leaves)-1]; last.Kind {
		case trace.KindDriver, trace.KindDeliver:
			return true
		case trace.KindFastPath:
			return packet.Returned(last.To)
		}
	}
	return j.Stack || j.Ending() == packet.Dead
}

// markUp marks the span at index i and those around it, up to the journey.
func (b *builder) markUp(i int, mark func(*trace.Span)) {
	for ; i != root; i = b.trace.Spans[i].Parent {
		mark(&b.trace.Spans[i])
	}
}
