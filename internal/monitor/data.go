// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// The limits of what is kept.
const (
	// maxPings are in the list.
	maxPings = 200
	// listEvery is how often a complete ping comes into the list at most, and one that is not:
	// who looks for one must have the time to find it.
	listEvery = 100 * time.Millisecond
	// maxRows are in the table. What is beyond is counted.
	maxRows = 512
	// maxReasons of drops, and causes, are told apart.
	maxReasons = 32
)

// data are what has come so far. They grow no further at the limits above.
type data struct {
	// base is what the agent had counted when it was asked last; since are the pings after that.
	base, since counts
	// start is when the agent began to count, zero if it is not known.
	start time.Time
	// zero is what is no longer shown: the counts at the last reset.
	zero    counts
	resetAt time.Time

	rate  meter
	rtt   window
	table table
	// before are the agent's rows, shown until there are own ones.
	before []api.Device
	// pings are the last ones, the newest last.
	pings []*ping
	// listed is when one came into the list, of those that are complete and of the others.
	listed  [2]int64
	slowest [slots]*ping
	// last is when a ping was seen last.
	last time.Time
}

// counts counts pings by how they ended.
type counts struct {
	total                   uint64
	outcomes, drops, causes map[string]uint64
}

func (c *counts) add(t *trace.Trace) {
	c.total++
	count(&c.outcomes, t.Outcome.String())
	switch t.Outcome {
	case trace.Dropped:
		count(&c.drops, t.DropReason)
	case trace.Incomplete:
		count(&c.causes, string(t.Cause))
	}
}

func count(m *map[string]uint64, key string) {
	if *m == nil {
		*m = map[string]uint64{}
	}
	if _, known := (*m)[key]; !known && len(*m) >= maxReasons {
		key = api.OtherReason
	}
	(*m)[key]++
}

// plus and minus return sums and differences; what would be negative is 0.
func (c counts) plus(d counts) counts {
	return counts{c.total + d.total, merge(c.outcomes, d.outcomes, 1), merge(c.drops, d.drops, 1), merge(c.causes, d.causes, 1)}
}

func (c counts) minus(d counts) counts {
	return counts{
		c.total - min(c.total, d.total),
		merge(c.outcomes, d.outcomes, -1), merge(c.drops, d.drops, -1), merge(c.causes, d.causes, -1),
	}
}

func merge(a, b map[string]uint64, sign int) map[string]uint64 {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]uint64{}
	}
	for k, n := range b {
		if sign < 0 {
			n = -min(n, out[k])
		}
		out[k] += n
	}
	maps.DeleteFunc(out, func(_ string, n uint64) bool { return n == 0 })
	return out
}

// counts returns how many pings there were since the last reset.
func (d *data) counts() counts { return d.base.plus(d.since).minus(d.zero) }

// summary takes in what the agent has counted, which includes what was seen here.
func (d *data) summary(s *api.Summary) {
	d.base = counts{s.Pings.Total, s.Pings.ByOutcome, s.Pings.Drops, s.Pings.Incomplete}
	d.since = counts{}
	if s.Since != nil {
		if !s.Since.Equal(d.start) {
			d.zero = counts{} // another agent, or one that was started again
		}
		d.start = *s.Since
	}
	if d.resetAt.IsZero() {
		d.before = s.Devices
	}
}

// add takes in a ping that was seen at a time. One that the agent has counted already is old.
func (d *data) add(p *ping, old bool, now time.Time) {
	if !old {
		d.since.add(p.t)
	}
	d.last = latest(d.last, p.at)
	d.list(p)
	if now.Sub(p.at) >= windowSeconds*time.Second {
		return
	}
	d.rate.add(p.at, 1)
	d.measure(p)
}

// measure takes in the times of a ping.
func (d *data) measure(p *ping) {
	if p.replied {
		d.rtt.add(p.at, p.rtt)
	}
	d.table.add(p)
	at := &d.slowest[mod(p.at.Unix()/slotSeconds, slots)]
	if *at == nil || (*at).slot() < p.slot() || (*at).slot() == p.slot() && p.rtt > (*at).rtt {
		*at = p
	}
}

// list puts a ping into the list, unless one came just before it.
func (d *data) list(p *ping) {
	if len(d.pings) > 0 && p.at.Before(d.pings[len(d.pings)-1].at.Add(-time.Minute)) {
		return
	}
	kind := 0
	if p.t.Outcome != trace.Complete {
		kind = 1
	}
	when := p.at.UnixNano() / int64(listEvery)
	if when == d.listed[kind] {
		return
	}
	d.listed[kind] = when
	if len(d.pings) >= maxPings {
		d.pings = slices.Delete(d.pings, 0, 1)
	}
	d.pings = append(d.pings, p)
}

// worst returns the slowest ping of the last minute that has a reply, or else the longest, or nil.
func (d *data) worst(now time.Time) *ping {
	var worst *ping
	for _, p := range d.slowest {
		if p == nil || now.Unix()/slotSeconds-p.slot() >= slots {
			continue
		}
		if worst == nil || p.rtt > worst.rtt {
			worst = p
		}
	}
	return worst
}

// reset forgets all that was seen, but not how much there was.
func (d *data) reset(now time.Time) {
	*d = data{base: d.base, since: d.since, start: d.start, zero: d.base.plus(d.since), resetAt: now, last: d.last}
}

// refill measures anew those of the pings in the list that match.
func (d *data) refill(match func(*ping) bool) {
	d.table, d.rtt, d.slowest, d.before = table{}, window{}, [slots]*ping{}, nil
	for _, p := range d.pings {
		if match(p) {
			d.measure(p)
		}
	}
}

// clone returns a copy that does not change when d does.
func (d *data) clone() *data {
	c := *d
	c.since = d.since.plus(counts{})
	c.rtt, c.table = d.rtt.clone(), d.table.clone()
	c.pings = slices.Clone(d.pings)
	return &c
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
