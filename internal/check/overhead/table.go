// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// result is what all rounds under one watcher gave.
type result struct {
	name string
	// share is that of the pings that are to have traces.
	share float64
	// counts is whether the watcher says how many events it has lost.
	counts  bool
	samples []sample
}

// median of what of returns for each sample; of two in the middle the lower.
func median[T cmp.Ordered](samples []sample, of func(sample) T) T {
	values := make([]T, 0, len(samples))
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

func (r result) rtt() time.Duration {
	return median(r.samples, func(s sample) time.Duration { return s.rtt })
}

// sum adds up over the rounds: losses do not matter for a median.
func (r result) sum(of func(sample) int) int {
	total := 0
	for _, s := range r.samples {
		total += of(s)
	}
	return total
}

// traces returns how many ended so, over all rounds.
func (r result) traces(outcome trace.Outcome) int {
	return r.sum(func(s sample) int { return s.traces[outcome.String()] })
}

// others returns how many ended in none of the three ways that have a column.
func (r result) others() int {
	n := 0
	for _, o := range trace.Outcomes() {
		if o > trace.Incomplete {
			n += r.traces(o)
		}
	}
	return n
}

func (r result) pings() int { return r.sum(func(s sample) int { return s.sent }) }

func (r result) unanswered() int { return r.sum(func(s sample) int { return s.sent - s.received }) }

func (r result) lost() int { return r.sum(func(s sample) int { return s.lost }) }

// perPing is the time from one ping to the next. The RTT is only good to a
// microsecond, and a flood has few of them; this is finer, but has ping's own work
// in it.
func (r result) perPing() time.Duration {
	return median(r.samples, func(s sample) time.Duration { return s.elapsed / time.Duration(s.sent) })
}

func writeTable(w io.Writer, cfg config, results []result) error {
	fmt.Fprintf(w, "%d pings a round, medians of %d rounds; counts are of all rounds\n\n", cfg.count, cfg.rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "watched by\tmean RTT\tratio\ttime per ping\tratio\tpings/s\tpings\tunanswered\tevents lost\ttraces complete\tincomplete\tdropped\tother\t")
	base := results[0]
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%v\t%.2f\t%v\t%.2f\t%.0f\t%d\t%d\t",
			r.name, r.rtt(), ratio(r.rtt(), base.rtt()), r.perPing().Round(10*time.Nanosecond), ratio(r.perPing(), base.perPing()),
			median(r.samples, sample.rate), r.pings(), r.unanswered())
		switch {
		case r.samples[0].traces != nil:
			fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t\n", r.lost(), r.traces(trace.Complete), r.traces(trace.Incomplete), r.traces(trace.Dropped), r.others())
		case r.counts:
			fmt.Fprintf(table, "%d\t-\t-\t-\t-\t\n", r.lost())
		default:
			fmt.Fprintf(table, "-\t-\t-\t-\t-\t\n")
		}
	}
	return table.Flush()
}

func ratio(d, base time.Duration) float64 { return float64(d) / float64(base) }

// isWhole reports whether no trace but complete ones were made, and as many as there are to be: of a sample,
// within six standard deviations.
func (r result) isWhole(complete int) bool {
	if r.traces(trace.Incomplete)+r.traces(trace.Dropped)+r.others() > 0 {
		return false
	}
	if r.share == 1 {
		return complete == r.pings()
	}
	expected := float64(r.pings()) * r.share
	return math.Abs(float64(complete)-expected) <= 6*math.Sqrt(expected)+2
}

// verdict fails if a ping that is to have one has no complete trace: what costs little because it misses much
// is not a measurement.
func verdict(results []result) error {
	var errs []error
	for _, r := range results {
		if n := r.unanswered(); n > 0 {
			errs = append(errs, fmt.Errorf("%s: %d pings unanswered", r.name, n))
		}
		if r.samples[0].traces == nil {
			continue
		}
		if complete := r.traces(trace.Complete); !r.isWhole(complete) || r.lost() > 0 {
			errs = append(errs, fmt.Errorf("%s: %d complete traces of %d pings, %d events lost", r.name, complete, r.pings(), r.lost()))
		}
	}
	return errors.Join(errs...)
}
