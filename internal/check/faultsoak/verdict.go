// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/dwelltrace/dwell/internal/check/plot"
)

// verdict prints what became of all pings, and says what is not as it should be.
func (s *soak) verdict() error {
	f := &s.final
	fmt.Fprintf(s.out, "\n%d floods, %d namespaces came and went, %.0f reloads; the endpoint refused %d requests.\n", s.floods, s.churned, f.reloads, f.refused)
	var errs []error
	size := s.ledger.sum(kept).spans
	for _, of := range []struct {
		name    string
		because fate
		given   float64
	}{
		{"pings", kept, f.given - s.givenFull},
		{"pings that were not sent on when the disk was full", endangered, s.givenFull},
	} {
		a := s.ledger.sum(of.because)
		missing, most := a.sent-a.arrived, s.counted(of.given, size)
		fmt.Fprintf(s.out, "%s: %d sent, %d traces arrived, %d of them twice; %d missing, and counted as lost are at most %d.\n", of.name, a.sent, a.arrived, a.twice, missing, most)
		if missing > most {
			errs = append(errs, fmt.Errorf("%s: %d traces are missing, and what is counted as lost is %d at most", of.name, missing, most))
		}
		if of.because == kept && a.arrived == 0 {
			errs = append(errs, errors.New("nothing arrived"))
		}
	}
	errs = append(errs, s.judgeSampled())
	fmt.Fprintf(s.out, "spans: %.0f accepted, %.0f given up and counted, of which %.0f while the disk was full. A trace has %d.\n", f.sent, f.given, s.givenFull, size)
	fmt.Fprintf(s.out, "events: %.0f read, %.0f left out on purpose, %.0f lost and counted, %.0f missed at most.\n", f.events, f.gated, f.lost, f.missed)
	fmt.Fprintf(s.out, "probes: at least %.0f results, %.0f answered.\n", s.most(func(s *sample) float64 { return s.probes }), s.most(func(s *sample) float64 { return s.answered }))
	second, last := s.quarters()
	fmt.Fprintf(s.out, "RSS: median %.1f MiB in the second quarter, %.1f in the last, %.1f at most.\n", second, last, s.most(func(s *sample) float64 { return s.rss / mib }))
	if s.most(func(s *sample) float64 { return s.answered }) == 0 {
		errs = append(errs, errors.New("no probe was answered"))
	}
	if s.allow >= 0 && last-second > s.allow {
		errs = append(errs, fmt.Errorf("memory grew by %.1f MiB, more than %.1f", last-second, s.allow))
	}
	return errors.Join(errs...)
}

// judgeSampled says whether some of what was to be left out was, and some of the rest arrived.
func (s *soak) judgeSampled() error {
	const enough = 1000
	a := s.ledger.sum(sampled)
	fmt.Fprintf(s.out, "pings while half were left out, or shortly before or after: %d sent, %d traces arrived.\n", a.sent, a.arrived)
	if a.sent >= enough && (a.arrived < a.sent/4 || a.arrived == a.sent) {
		return fmt.Errorf("of %d pings, half of which were to be left out for a part of the time, %d arrived", a.sent, a.arrived)
	}
	return nil
}

// most returns the greatest value of a sample.
func (s *soak) most(of func(*sample) float64) (most float64) {
	for i := range s.samples {
		most = max(most, of(&s.samples[i]))
	}
	return most
}

// counted is how many traces may be missing because they are counted: those whose spans were given
// up, and those of which not one event was read.
func (s *soak) counted(given float64, spans int) int {
	const events = 26 // of one ping, through a bridge
	return int(given)/max(1, spans) + int(s.final.lost+s.final.missed)/events
}

// quarters returns the medians of the memory in the second and in the last quarter, in MiB.
func (s *soak) quarters() (second, last float64) {
	quarter := len(s.samples) / 4
	return median(s.samples[quarter : 2*quarter]), median(s.samples[len(s.samples)-quarter:])
}

func median(samples []sample) float64 {
	if len(samples) == 0 {
		return 0
	}
	var values []float64
	for i := range samples {
		values = append(values, samples[i].rss/mib)
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// draw writes the chart.
func (s *soak) draw(name string) error {
	page := plot.Page{Title: fmt.Sprintf("dwell agent for %v with faults, reloads, floods, probes and namespaces that come and go", s.duration), Marks: s.marks}
	line := func(name, unit string, of func(*sample) float64) plot.Line {
		l := plot.Line{Name: name, Unit: unit}
		for i := range s.samples {
			l.Values = append(l.Values, of(&s.samples[i]))
		}
		return l
	}
	for i := range s.samples {
		page.Times = append(page.Times, s.samples[i].at)
	}
	page.Charts = []plot.Chart{
		{Title: "memory", Lines: []plot.Line{
			line("RSS", "MiB", func(s *sample) float64 { return s.rss / mib }), line("heap in use", "MiB", func(s *sample) float64 { return s.heap / mib }),
		}},
		{Title: "traces that are accounted for", Lines: []plot.Line{
			line("sent", "", func(s *sample) float64 { return float64(s.pinged) }), line("arrived", "", func(s *sample) float64 { return float64(s.received) }),
		}},
		{Title: "spans that wait", Lines: []plot.Line{
			line("in all", "", func(s *sample) float64 { return s.queued }), line("on disk", "", func(s *sample) float64 { return s.spooled }),
			line("given up", "", func(s *sample) float64 { return s.given }),
		}},
		{Title: "files and goroutines", Lines: []plot.Line{
			line("open files", "", func(s *sample) float64 { return s.files }), line("goroutines", "", func(s *sample) float64 { return s.goroutines }),
		}},
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(page.SVG(f), f.Close())
}
