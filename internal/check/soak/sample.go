// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

const mib = 1 << 20

// sample is what the agent holds after so many pings.
type sample struct {
	sent int
	// rss and heap are in bytes: the whole process, and what the Go program uses of it.
	rss, heap         float64
	goroutines, files float64
	// open is the number of traces that are not finished.
	open         float64
	traced, lost float64
	// queued is the number of spans that wait to be sent.
	queued float64
}

func printHead(w io.Writer) {
	fmt.Fprintf(w, "%8s %10s %10s %8s %9s %9s %10s %6s %6s\n",
		"elapsed", "pings", "traced", "lost", "RSS MiB", "heap MiB", "goroutines", "files", "open")
}

func (s sample) print(w io.Writer, elapsed time.Duration) {
	fmt.Fprintf(w, "%8s %10d %10.0f %8.0f %9.1f %9.1f %10.0f %6.0f %6.0f\n", elapsed.Round(time.Second),
		s.sent, s.traced, s.lost, s.rss/mib, s.heap/mib, s.goroutines, s.files, s.open)
}

// verdict says by how much memory grew after the first quarter. Medians of quarters are
// compared, because a single sample falls anywhere between two garbage collections.
func verdict(w io.Writer, samples []sample, allow float64) error {
	quarter := len(samples) / 4
	second, last := samples[quarter:2*quarter], samples[len(samples)-quarter:]
	rss := func(s sample) float64 { return s.rss / mib }
	grown := median(last, rss) - median(second, rss)
	slope := fit(samples[quarter:], rss) * hourful
	fmt.Fprintf(w, "RSS: median %.1f MiB in the second quarter, %.1f in the last: %+.1f MiB; the line through all after the first: %+.1f MiB an hour's worth.\n",
		median(second, rss), median(last, rss), grown, slope)
	if grown > allow {
		return fmt.Errorf("memory grew by %.1f MiB, more than %.1f", grown, allow)
	}
	return nil
}

func median(samples []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// fit returns the slope of the line of least squares, per ping.
func fit(samples []sample, of func(sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range samples {
		dx, dy := float64(s.sent), of(s)
		n, x, y, xx, xy = n+1, x+dx, y+dy, xx+dx*dx, xy+dx*dy
	}
	return (n*xy - x*y) / (n*xx - x*x)
}
