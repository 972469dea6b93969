// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Counts is what became of the pings of a mode.
type Counts struct {
	Sent       int            `json:"sent"`
	Received   int            `json:"received"`
	Traces     int            `json:"traces"`
	Complete   int            `json:"complete"`
	Dropped    map[string]int `json:"dropped,omitempty"`
	Incomplete map[string]int `json:"incomplete,omitempty"`
	// Other counts by any other outcome.
	Other      map[string]int `json:"other,omitempty"`
	Duplicates int            `json:"duplicates"`
	// Stray are traces of pings that are not the bench's.
	Stray int `json:"stray"`
	// Events and EventsLost are of the kernel side.
	Events     uint64 `json:"events"`
	EventsLost uint64 `json:"events_lost"`
	// WithoutNetfilter says why the netfilter chains were not timed, or nothing.
	WithoutNetfilter string `json:"without_netfilter,omitempty"`
}

// Troubles says what should not have been: each ping is sent, answered and traced
// completely.
func (c Counts) Troubles() []string {
	var out []string
	add := func(n int, format string, args ...any) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d of %d pings ", n, c.Sent)+fmt.Sprintf(format, args...))
		}
	}
	add(c.Sent-c.Received, "were not answered")
	add(c.Sent-c.Traces, "left no trace")
	for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
		add(c.Dropped[reason], "dropped: %s", reason)
	}
	for _, cause := range slices.Sorted(maps.Keys(c.Incomplete)) {
		add(c.Incomplete[cause], "incomplete: %s", cause)
	}
	for _, outcome := range slices.Sorted(maps.Keys(c.Other)) {
		add(c.Other[outcome], "%s", outcome)
	}
	if c.EventsLost > 0 {
		out = append(out, fmt.Sprintf("%d events lost in the kernel", c.EventsLost))
	}
	return out
}

func newCounts() Counts {
	return Counts{Dropped: map[string]int{}, Incomplete: map[string]int{}, Other: map[string]int{}}
}

// add counts a trace by its outcome.
func (c *Counts) add(t *trace.Trace) {
	c.Traces++
	c.Duplicates += t.Duplicates
	switch t.Outcome {
	case trace.Complete:
		c.Complete++
	case trace.Dropped:
		c.Dropped[t.DropReason]++
	case trace.Incomplete:
		c.Incomplete[string(t.Cause)]++
	default:
		c.Other[t.Outcome.String()]++
	}
}

// seen takes over what is counted beside the pings.
func (c *Counts) seen(o Counts) {
	c.Stray, c.Events, c.EventsLost, c.WithoutNetfilter = o.Stray, o.Events, o.EventsLost, o.WithoutNetfilter
}

// plus adds counts up.
func (c Counts) plus(o Counts) Counts {
	sum := func(a, b map[string]int) map[string]int {
		out := map[string]int{}
		for _, m := range []map[string]int{a, b} {
			for k, n := range m {
				out[k] += n
			}
		}
		return out
	}
	return Counts{
		Sent: c.Sent + o.Sent, Received: c.Received + o.Received, Traces: c.Traces + o.Traces,
		Complete: c.Complete + o.Complete, Duplicates: c.Duplicates + o.Duplicates, Stray: c.Stray + o.Stray,
		Dropped: sum(c.Dropped, o.Dropped), Incomplete: sum(c.Incomplete, o.Incomplete), Other: sum(c.Other, o.Other),
		Events: c.Events + o.Events, EventsLost: c.EventsLost + o.EventsLost,
	}
}
