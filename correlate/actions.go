// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// deeds are the names of the span events for what was done to a packet.
var deeds = map[event.Deed]string{
	event.Firewall: trace.EventFirewall,
	event.Redirect: trace.EventRedirect,
	event.Fallback: trace.EventFallback,
	event.Learn:    trace.EventLearn,
}

// addActions notes what was done to the packets on the leaves in which it was done. It
// changes no leaf.
func (b *builder) addActions() {
	for _, ev := range b.sorted.acts {
		e := trace.Event{Time: int64(ev.Time), Name: deeds[ev.Action.Deed]}
		if ev.Action.Deed == event.Firewall {
			e.Attrs = b.firewallAttrs(&ev.Action)
		} else {
			b.describeFastPath(ev, &e)
		}
		b.note(ev, e)
	}
}

// addErrors notes each ICMP error, when it was seen first, with who sent it.
func (b *builder) addErrors() {
	type kind struct {
		from event.Address
		id   uint32
		typ  event.Type
	}
	seen := map[kind]bool{}
	for _, ev := range b.sorted.errors {
		k := kind{ev.Tunnels[0].Src, ev.Tunnels[0].ID, ev.Type}
		if seen[k] {
			continue
		}
		seen[k] = true
		typ, code := icmpError(ev)
		b.note(ev, trace.Event{Time: int64(ev.Time), Name: trace.EventICMPError, Attrs: []trace.Attr{
			trace.String(trace.AttrSourceAddress, ev.Tunnels[0].Src.Addr().String()),
			trace.Int(trace.AttrICMPErrorType, int64(typ)),
			trace.Int(trace.AttrICMPErrorCode, int64(code)),
		}})
	}
}

// sortEvents puts the events of each span in order of time, and of two at one time the packet's
// death last: it has a reason.
func (b *builder) sortEvents() {
	death := func(e trace.Event) int {
		if e.Name == trace.EventDrop {
			return 1
		}
		return 0
	}
	for i := range b.trace.Spans {
		slices.SortStableFunc(b.trace.Spans[i].Events, func(x, y trace.Event) int {
			return cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(death(x), death(y)))
		})
	}
}

// note adds a span event to the leaf in which the packet was when ev was seen, or else to
// the root.
func (b *builder) note(ev *event.Event, e trace.Event) {
	s := b.trace.Root()
	direction := trace.Request
	if ev.Type == event.EchoReply || ev.Type == event.ReplyError {
		direction = trace.Reply
	}
	for i := range b.trace.Spans {
		l := &b.trace.Spans[i]
		if l.Leaf && l.Direction == direction && l.Start <= e.Time && e.Time <= l.End && (l.NetNS.Inode == ev.NetNS || s == b.trace.Root()) {
			s = l
		}
	}
	b.happened(s, e)
}

// happened adds an event to a span.
func (b *builder) happened(s *trace.Span, e trace.Event) {
	b.mixed = b.mixed || len(s.Events) > 0
	s.Events = append(s.Events, e)
}
