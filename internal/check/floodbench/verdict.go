// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/plot"
)

// slack is which part of the events may differ from what the pings of the calm had: a ping may
// have one more where it had to wait.
const slack = 1e-4

// verdict prints what became of all pings, and says what is not as it should be.
func (b *bench) verdict() error {
	last, first := b.after, b.before
	events, gated, lost := last.events-first.events, last.gated-first.gated, last.lost-first.lost
	want := b.perPing * float64(b.sent)
	uncounted := want - events - gated - lost
	seconds := b.duration.Seconds()
	cpu := last.cpu - first.cpu
	fmt.Fprintf(b.out, "\n%d pings, %.0f a second; each has %.2f events.\n", b.sent, float64(b.sent)/seconds, b.perPing)
	fmt.Fprintf(b.out, "events: %.0f expected; %.0f read, %.0f left out on purpose, %.0f lost and counted; not accounted for: %.0f (%.4f %%); missed at most %.0f.\n",
		want, events, gated, lost, max(0, uncounted), 100*max(0, uncounted)/want, last.missed-first.missed)
	if uncounted < 0 {
		fmt.Fprintf(b.out, "%.0f were read and then left out, and so are counted twice.\n", -uncounted)
	}
	fmt.Fprintf(b.out, "pings: %.0f traced, about %.0f left out, %.0f traces sampled out.\n", last.pings-first.pings, last.gatedPings-first.gatedPings, last.sampledOut-first.sampledOut)
	fmt.Fprintf(b.out, "spans: %.0f accepted, the endpoint has %.0f; %.0f given up and counted.\n", last.sent, last.taken, last.given)
	fmt.Fprintf(b.out, "CPU of dwell: %.2f of a core, %.2f µs an event that was read, %.2f µs a ping.\n", cpu/seconds, cpu/max(1, events)*1e6, cpu/float64(b.sent)*1e6)
	second, end := b.quarters(func(s *sample) float64 { return s.rss / mib })
	fmt.Fprintf(b.out, "RSS: median %.1f MiB in the second quarter, %.1f in the last, %.1f at most.\n", second, end, b.most())

	var errs []error
	switch {
	case uncounted > slack*want:
		errs = append(errs, fmt.Errorf("%.0f events of %.0f are not accounted for", uncounted, want))
	case last.once && uncounted < -slack*want:
		errs = append(errs, fmt.Errorf("%.0f events of %.0f are counted twice", -uncounted, want))
	}
	if last.sent != last.taken {
		errs = append(errs, fmt.Errorf("the endpoint has %.0f spans, and dwell agent says that it accepted %.0f", last.taken, last.sent))
	}
	if end-second > b.allow {
		errs = append(errs, fmt.Errorf("memory grew by %.1f MiB, more than %.1f", end-second, b.allow))
	}
	return errors.Join(errs...)
}

// quarters returns medians of the second and of the last quarter.
func (b *bench) quarters(of func(*sample) float64) (second, last float64) {
	quarter := len(b.samples) / 4
	return median(b.samples[quarter:2*quarter], of), median(b.samples[len(b.samples)-quarter:], of)
}

func median(samples []sample, of func(*sample) float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = of(&samples[i])
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func (b *bench) most() (most float64) {
	for i := range b.samples {
		most = max(most, b.samples[i].rss/mib)
	}
	return most
}

// draw writes the chart.
func (b *bench) draw(name string) error {
	page := plot.Page{Title: fmt.Sprintf("ping -f for %v: %.0f pings a second, each with %.0f events", b.duration, float64(b.sent)/b.duration.Seconds(), b.perPing)}
	for i := range b.samples {
		page.Times = append(page.Times, b.samples[i].at)
	}
	level := func(name, unit string, of func(*sample) float64) plot.Line {
		l := plot.Line{Name: name, Unit: unit}
		for i := range b.samples {
			l.Values = append(l.Values, of(&b.samples[i]))
		}
		return l
	}
	rate := func(name string, of func(*sample) float64) plot.Line {
		l := plot.Line{Name: name}
		last := b.before
		for i := range b.samples {
			s := &b.samples[i]
			l.Values = append(l.Values, max(0, of(s)-of(&last))/max(1e-3, (s.at-last.at).Seconds()))
			last = *s
		}
		return l
	}
	page.Charts = []plot.Chart{
		{Title: "memory of dwell agent", Lines: []plot.Line{
			level("RSS", "MiB", func(s *sample) float64 { return s.rss / mib }), level("heap in use", "MiB", func(s *sample) float64 { return s.heap / mib }),
		}},
		{Title: "events a second", Lines: []plot.Line{
			rate("read", func(s *sample) float64 { return s.events }), rate("left out", func(s *sample) float64 { return s.gated }), rate("lost", func(s *sample) float64 { return s.lost }),
		}},
		{Title: "spans a second", Lines: []plot.Line{
			rate("taken by the endpoint", func(s *sample) float64 { return s.taken }), rate("given up", func(s *sample) float64 { return s.given }),
		}},
		{Title: "CPU of dwell agent, in cores", Lines: []plot.Line{rate("cores", func(s *sample) float64 { return s.cpu })}},
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(page.SVG(f), f.Close())
}
