// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// What is to be reached: nanoseconds of a program more than of an empty one, and the ratio of rates.
const (
	mostNanoseconds = 20
	leastRatio      = 0.95
)

// Hooks that few packets pass say little: those with fewer runs than this share of the most are left
// out of the table.
const fewRuns = 0.1

// tooManyEchoes is the share of pings among the packets from which on the figures are not of bystanders.
const tooManyEchoes = 0.01

// results is what is printed, also as JSON.
type results struct {
	Kernel string    `json:"kernel"`
	Pairs  int       `json:"pairs"`
	Loads  []*result `json:"loads"`
}

// result is what was measured of one kind of traffic.
type result struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// The rates of each round: by a second of CPU time.
	Untraced []float64    `json:"untraced"`
	Empty    []float64    `json:"empty"` // with an empty program at each tracepoint
	Traced   []float64    `json:"traced"`
	Hooks    []hookResult `json:"hooks"`
	// Runs is how often programs were run while they were measured, and Echoes how many events of pings
	// they recorded, which are somebody else's.
	Runs   uint64 `json:"runs"`
	Echoes uint64 `json:"echoes"`
}

// hookResult is the time of one run of a program, and of the empty ones before and after it, in
// nanoseconds. What measuring takes is in both.
type hookResult struct {
	Hook  string  `json:"hook"`
	Runs  uint64  `json:"runs"`
	Each  float64 `json:"ns"`
	Empty float64 `json:"empty_ns"`
}

// ratios returns the quartiles of the ratios of each round.
func ratios(some, to []float64) [3]float64 {
	var all []float64
	for i := range some {
		all = append(all, some[i]/to[i])
	}
	return traffic.Quartiles(all)
}

func (r *results) write(w io.Writer) error {
	fmt.Fprintf(w, "%s. Medians (first to third quartile) of %d rounds. Rates are by a second of CPU time.\n\n", r.Kernel, r.Pairs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "traffic\tunit\tuntraced\ttraced\tratio\tgoal\treached\tratio with empty programs\t\n")
	for _, l := range r.Loads {
		q, least := ratios(l.Traced, l.Untraced), ratios(l.Empty, l.Untraced)
		fmt.Fprintf(t, "%s\t%s\t%.3g\t%.3g\t%.3f (%.3f–%.3f)\t≥ %.2f\t%s\t%.3f (%.3f–%.3f)\t\n",
			l.Name, l.Unit, traffic.Quartiles(l.Untraced)[1], traffic.Quartiles(l.Traced)[1], q[1], q[0], q[2], leastRatio, yes(q[1] >= leastRatio),
			least[1], least[0], least[2])
	}
	fmt.Fprintf(t, "\t\t\t\t\t\t\t\t\n")
	fmt.Fprintf(t, "traffic\thook\tempty program, ns\tdwell's, ns\tmore\tgoal\treached\t\n")
	for _, l := range r.Loads {
		most := uint64(0)
		for _, h := range l.Hooks {
			most = max(most, h.Runs)
		}
		for _, h := range l.Hooks {
			if float64(h.Runs) < fewRuns*float64(most) {
				continue
			}
			more := h.Each - h.Empty
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.0f\t%.1f\t≤ %d\t%s\t\n", l.Name, h.Hook, h.Empty, h.Each, more, mostNanoseconds, yes(more <= mostNanoseconds))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range r.Loads {
		if l.Runs > 0 && float64(l.Echoes) > tooManyEchoes*float64(l.Runs) {
			fmt.Fprintf(w, "\n%s: somebody pinged meanwhile. %.0f %% of the runs were of echoes, which cost more; the nanoseconds are of no use.\n",
				l.Name, 100*float64(l.Echoes)/float64(l.Runs))
		}
	}
	return nil
}

func yes(reached bool) string {
	if reached {
		return "yes"
	}
	return "no"
}
