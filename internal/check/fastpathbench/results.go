// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// measure is something that is measured.
type measure struct {
	name, unit string
	digits     int
	// order is its place in the table.
	order int
	// toSlow and toBare are what the fast path's ratio should be.
	toSlow, toBare goal
}

// goal is a ratio to reach: at most that, or at least; zero: none.
type goal struct {
	ratio   float64
	atLeast bool
}

func (g goal) String() string {
	switch {
	case g.ratio == 0:
		return ""
	case g.atLeast:
		return fmt.Sprintf("≥ %.2f", g.ratio)
	}
	return fmt.Sprintf("≤ %.2f", g.ratio)
}

// reached says whether a ratio is as it should be.
func (g goal) reached(ratio float64) string {
	switch {
	case g.ratio == 0:
		return ""
	case g.atLeast == (ratio >= g.ratio) || ratio == g.ratio:
		return "yes"
	}
	return "no"
}

// The measurements.
var (
	pacedPing   = measure{name: "ping every 10 ms", unit: "µs", digits: 1, order: -2, toSlow: goal{ratio: 0.55}, toBare: goal{ratio: 1.25}}
	tcpRequests = measure{name: "TCP_RR", unit: "1/s", order: 1, toSlow: goal{1.36, true}}
	udpRequests = measure{name: "UDP_RR", unit: "1/s", order: 2}
	throughput  = measure{name: "TCP stream", unit: "Gbit/s", digits: 1, order: 3, toSlow: goal{1.12, true}}
	cpuPerGbit  = measure{name: "CPU per Gbit", unit: "ms", digits: 1, order: 4, toSlow: goal{ratio: 1}}
	// Of a stream whose segments leave the guest one by one, as if no device could cut them.
	singleThroughput = measure{name: "single segments, TCP stream", unit: "Gbit/s", digits: 2, order: 5, toSlow: goal{1.12, true}}
	singleCPU        = measure{name: "single segments, CPU per Gbit", unit: "ms", digits: 1, order: 6, toSlow: goal{ratio: 1}}
)

// pingOf is the ping of so many flows. What is to be reached was set for one.
func pingOf(flows int) measure {
	m := measure{name: "ping, 1 flow", unit: "µs", digits: 1, order: -1}
	if flows == 1 {
		m.toSlow, m.toBare = goal{ratio: 0.55}, goal{ratio: 1.25}
		return m
	}
	m.name, m.order = fmt.Sprintf("ping, %d flows", flows), 0
	return m
}

// results are the values of all rounds, in their order, by what was measured and the way.
type results map[measure]map[string]*values

// values are one of a round.
type values struct {
	each []float64
	// fast and slow are the packets of all rounds.
	packets counted
}

func (r results) add(m measure, way string, value float64, what counted) {
	if r[m] == nil {
		r[m] = map[string]*values{}
	}
	v := r[m][way]
	if v == nil {
		v = &values{}
		r[m][way] = v
	}
	v.each = append(v.each, value)
	v.packets.fast += what.fast
	v.packets.slow += what.slow
}

// measures returns what was measured, in order.
func (r results) measures() (all []measure) {
	for m := range r {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b measure) int {
		if a.order != b.order {
			return a.order - b.order
		}
		return len(a.name) - len(b.name) // more flows
	})
	return all
}

// ratios returns the quartiles of the ratios of values that were measured in the same round.
func (r results) ratios(m measure, way, to string) (q [3]float64, ok bool) {
	a, b := r[m][way], r[m][to]
	if a == nil || b == nil {
		return q, false
	}
	var all []float64
	for i := range min(len(a.each), len(b.each)) {
		all = append(all, a.each[i]/b.each[i])
	}
	return traffic.Quartiles(all), len(all) > 0
}
