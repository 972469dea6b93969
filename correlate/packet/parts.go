// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Parts divides a leaf at the events inside it, so that the parts tile it, and appends them
// to dst. If there are none, it appends nothing.
func (l *Leaf) Parts(dst []Leaf) []Leaf {
	if len(l.inside) == 0 {
		return dst
	}
	from := l.From
	for _, to := range l.inside {
		dst = append(dst, Leaf{Kind: partOf(from, to), From: from, To: to})
		from = to
	}
	return append(dst, Leaf{Kind: partOf(from, l.To), From: from, To: l.To})
}

// partOf says what the stack does with a packet from one event to the next, both within
// one namespace.
func partOf(from, to *event.Event) trace.Kind {
	switch {
	case from.Hook.Arrival() && to.Hook == event.NetifReceiveSKB:
		return trace.KindSoftirq
	case from.Hook == event.NetfilterFirst:
		return chainOf(event.NetfilterHook(from.Code))
	case from.Hook == event.NetfilterLast:
		return afterChain(event.NetfilterHook(from.Code))
	case netfilter(to):
		return trace.KindReceive
	}
	return trace.KindStack
}

// chainOf returns the kind of the time in a hook's chains.
func chainOf(h event.NetfilterHook) trace.Kind {
	switch h {
	case event.NetfilterPreRouting:
		return trace.KindPrerouting
	case event.NetfilterLocalIn:
		return trace.KindInput
	case event.NetfilterForward:
		return trace.KindForwardChain
	case event.NetfilterLocalOut:
		return trace.KindOutput
	}
	return trace.KindPostrouting
}

// afterChain returns the kind of the time from the end of a hook's chains to what comes
// next.
func afterChain(h event.NetfilterHook) trace.Kind {
	switch h {
	case event.NetfilterPreRouting:
		return trace.KindRouting
	case event.NetfilterLocalIn:
		return trace.KindSocket
	case event.NetfilterPostRouting:
		return trace.KindNeighbour
	}
	return trace.KindOutgoing
}
