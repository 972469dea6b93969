// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/dwelltrace/dwell/correlate/trace"

// Which spans are counted in dwell.device.duration, and as what:
//
//   - Every span below the root but the journeys, with its kind and the kind of its
//     parent. The children of a span tile it, so that the times of one parent kind
//     add up to that of the parents, and nothing is in one sum twice.
//   - Children of a journey are hops and have no parent kind: they add up to the
//     journeys. What is between the journeys (beyond, respond) has "ping".
//   - Not a span in which the packet died: it did not get through, and a filter that
//     drops half of all packets at once would look fast. dwell.drops counts these.
//   - Not a span of which the end was not seen: in an incomplete trace, what reaches
//     to the last event of a journey, unless there the packet left the host or arrived.

// hop is the level of a child of a journey.
const hop trace.Kind = 0

// noEnd is no time at which a span ends.
const noEnd int64 = -1 << 63

// level returns the kind of the span around s, or hop.
func level(t *trace.Trace, s *trace.Span) trace.Kind {
	if k := t.Spans[s.Parent].Kind; !k.Journey() {
		return k
	}
	return hop
}

// unfinished returns the time at which the journey of span at was seen last if what
// ends there was not seen to its end, otherwise noEnd.
func unfinished(t *trace.Trace, at int) int64 {
	if t.Outcome != trace.Incomplete {
		return noEnd
	}
	var lastHop, last trace.Kind
	for i := at + 1; i < t.After(at); i++ {
		last = t.Spans[i].Kind
		if t.Spans[i].Parent == at {
			lastHop = last
		}
	}
	if last == trace.KindDriver || lastHop == trace.KindDeliver {
		return noEnd
	}
	return t.Spans[at].End
}
