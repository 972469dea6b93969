// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Collector makes rows of traces. It has no clock and no other input: the same traces in
// the same batches give the same rows. The zero value is not usable.
type Collector struct {
	batches int
	roles   map[uint32]string
	series  []*series
	byPath  map[string]*series
	ping    *series
	rtt     *series
	slowest *trace.Trace
	sample  []*trace.Trace
	counts  Counts
}

// sampleSize is of how many pings the typical one is chosen.
const sampleSize = 1000

// series is a row in the making.
type series struct {
	row   Row
	in    string // the direction
	whole bool
	ns    [][]int64 // by batch
}

// NewCollector returns an empty one for so many batches. roles are the lab's names
// for its namespaces, by inode.
func NewCollector(batches int, roles map[uint32]string) *Collector {
	c := &Collector{
		batches: batches, roles: roles, byPath: map[string]*series{},
		counts: newCounts(),
	}
	c.ping, c.rtt = c.newSeries(), c.newSeries()
	c.ping.row = Row{Path: "ping", Kind: trace.KindPing.String(), Name: "ping"}
	c.rtt.row = Row{Path: "rtt", Kind: "rtt", Name: "round trip, as the pinger saw it"}
	return c
}

func (c *Collector) newSeries() *series { return &series{ns: make([][]int64, c.batches)} }

// Add takes the trace of a ping of a batch, counted from 0. Only complete pings
// count in rows: a span that was cut short says nothing about the device.
func (c *Collector) Add(batch int, t *trace.Trace) {
	c.counts.add(t)
	if t.Outcome != trace.Complete {
		return
	}
	if c.slowest == nil || roundTrip(t) > roundTrip(c.slowest) {
		c.slowest = t
	}
	if len(c.sample) < sampleSize {
		c.sample = append(c.sample, t)
	}
	c.ping.add(batch, roundTrip(t))
	c.addSteps(batch, t)
}

// AddRTT takes the round-trip time that the pinger measured.
func (c *Collector) AddRTT(batch int, d time.Duration) { c.rtt.add(batch, d.Nanoseconds()) }

// addSteps adds the spans of one trace. A row that is new goes behind that of the
// span before it, so that rows stand in the order of the path even if some pings
// take a way of their own.
func (c *Collector) addSteps(batch int, t *trace.Trace) {
	place := 0
	for _, st := range steps(t, c.name) {
		s := c.byPath[st.path]
		if s == nil {
			s = c.newSeries()
			s.in, s.whole = directionOf(st.span), st.span.Kind.Journey()
			s.row = c.row(st)
			c.byPath[st.path] = s
			c.series = slices.Insert(c.series, place, s)
		}
		place = slices.Index(c.series, s) + 1
		s.add(batch, st.span.Duration())
	}
}

// roundTrip returns the nanoseconds from the first event of a complete ping to the end of its
// first reply.
func roundTrip(t *trace.Trace) int64 {
	rtt, _ := t.RTT()
	return rtt
}

// typical returns the ping with the median duration, or nil if there is none.
func (c *Collector) typical() *trace.Trace {
	if len(c.sample) == 0 {
		return nil
	}
	sorted := slices.SortedStableFunc(slices.Values(c.sample), func(a, b *trace.Trace) int {
		return cmp.Compare(roundTrip(a), roundTrip(b))
	})
	return sorted[(len(sorted)-1)/2]
}

// row describes a step. Depth counts from the parts of a journey.
func (c *Collector) row(st step) Row {
	return Row{
		Path: st.path, Kind: st.span.Kind.String(), Name: c.name(st.span), Role: c.role(st.span.NetNS),
		Depth: max(int(st.span.Depth)-2, 0), Leaf: st.span.Leaf,
	}
}

// role returns the lab's name for a namespace.
func (c *Collector) role(ns *trace.NetNS) string {
	if ns == nil {
		return ""
	}
	if role, ok := c.roles[ns.Inode]; ok {
		return role
	}
	return ns.Name
}

// name is the span's, with the role where the namespace's name stands in it: that
// begins with the prefix of this run's lab, which says nothing to a reader.
func (c *Collector) name(s *trace.Span) string {
	if s.NetNS == nil || s.NetNS.Name == "" {
		return s.Name()
	}
	return strings.ReplaceAll(s.Name(), s.NetNS.Name, c.role(s.NetNS))
}

func (s *series) add(batch int, ns int64) { s.ns[batch] = append(s.ns[batch], ns) }

// finish works out the figures.
func (s *series) finish() Row {
	r := s.row
	for _, batch := range s.ns {
		r.Batches = append(r.Batches, Batch{Count: len(batch), Mean: mean(batch)})
	}
	r.Figures = Summarise(slices.Concat(s.ns...))
	return r
}

// Directions returns the rows so far, by direction and in order of the path.
func (c *Collector) Directions() []Direction {
	var out []Direction
	for _, name := range []string{Request, Between, Reply} {
		d := Direction{Name: name}
		for _, s := range c.series {
			switch {
			case s.in != name:
			case s.whole:
				d.Whole = s.finish()
			default:
				d.Rows = append(d.Rows, s.finish())
			}
		}
		if len(d.Rows) > 0 {
			out = append(out, d)
		}
	}
	return out
}

// Mode fills in what the traces say about a mode.
func (c *Collector) Mode() Mode {
	return Mode{
		Counts: c.counts, RTT: c.rtt.finish(), Ping: c.ping.finish(), Directions: c.Directions(),
		Typical: c.waterfall(c.typical()), Slowest: c.waterfall(c.slowest),
	}
}
