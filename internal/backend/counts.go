// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"net/netip"
	"unsafe"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// maxReasons is how many drop reasons, and how many causes, are counted apart.
const maxReasons = 64

// counts says how pings ended.
type counts struct {
	total      uint64
	byOutcome  [8]uint64
	drops      map[string]uint64
	incomplete map[string]uint64
}

func (c *counts) add(t *trace.Trace) {
	c.total++
	c.byOutcome[int(t.Outcome)%len(c.byOutcome)]++
	switch t.Outcome {
	case trace.Dropped:
		c.drops = count(c.drops, t.DropReason)
	case trace.Incomplete:
		c.incomplete = count(c.incomplete, string(t.Cause))
	}
}

func count(m map[string]uint64, reason string) map[string]uint64 {
	if m == nil {
		m = map[string]uint64{}
	}
	if _, ok := m[reason]; !ok && len(m) >= maxReasons {
		reason = api.OtherReason
	}
	m[reason]++
	return m
}

// shown returns a copy. All outcomes are in it, so that a first ping of each is an increase.
func (c *counts) shown() api.Counts {
	out := api.Counts{Total: c.total, ByOutcome: map[string]uint64{}, Drops: map[string]uint64{}, Incomplete: map[string]uint64{}}
	for _, o := range trace.Outcomes() {
		out.ByOutcome[o.String()] = c.byOutcome[o]
	}
	for reason, n := range c.drops {
		out.Drops[reason] = n
	}
	for cause, n := range c.incomplete {
		out.Incomplete[cause] = n
	}
	return out
}

// ping is one ping in short.
type ping struct {
	id       trace.ID
	start    int64
	src, dst netip.Addr
	rtt      int64
	cause    trace.Cause
	reason   string
	spans    uint32
	seq      uint16
	outcome  trace.Outcome
	replied  bool
}

func pingOf(t *trace.Trace, rtt int64, replied bool) ping {
	return ping{
		id: t.ID, start: t.Root().Start, src: t.Ping.Src, dst: t.Ping.Dst, rtt: rtt, cause: t.Cause,
		reason: t.DropReason, spans: uint32(len(t.Spans)), seq: t.Ping.Seq, outcome: t.Outcome, replied: replied,
	}
}

func (p *ping) shown() api.Ping {
	out := api.Ping{
		TraceID: p.id.String(), Time: *at(p.start), Src: addr(p.src), Dst: addr(p.dst), Seq: p.seq,
		Outcome: p.outcome.String(), Cause: string(p.cause), DropReason: p.reason, Spans: int(p.spans),
	}
	if p.replied {
		rtt := p.rtt
		out.RTT = &rtt
	}
	return out
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// sizeOf returns about how many bytes a trace takes in memory, without the names, which
// traces share.
func sizeOf(t *trace.Trace) int {
	size := int(unsafe.Sizeof(*t)) + cap(t.Spans)*int(unsafe.Sizeof(trace.Span{}))
	for i := range t.Spans {
		events := t.Spans[i].Events
		size += cap(events) * int(unsafe.Sizeof(trace.Event{}))
		for j := range events {
			size += cap(events[j].Attrs) * int(unsafe.Sizeof(trace.Attr{}))
		}
	}
	return size
}
