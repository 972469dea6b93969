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
//   - Not a span in which the packet died: it was not delivered, and a filter that
//     drops half of all packets at once would look fast. dwell.drops counts these.
//   - Not a span whose end was not seen: in an incomplete trace, the spans in which a
//     journey was last seen, unless the packet left the host there or was taken.

// hop is the level of a child of a journey.
const hop trace.Kind = 0

// level returns the kind of the span around s, or hop.
func level(t *trace.Trace, s *trace.Span) trace.Kind {
	if k := t.Spans[s.Parent].Kind; !k.Journey() {
		return k
	}
	return hop
}
