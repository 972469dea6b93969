// SPDX-License-Identifier: Apache-2.0

// Package loss is the one list of what tracing may lose on the way from the kernel to
// a finished trace.
//
// Nothing is lost without being counted and shown, in four places: the summary of a run,
// the daemon's log, its metrics, and the page docs/losses.md. They all read [Table], so that
// a new kind of loss is one field of [Counts] and one row. What is lost after that, on the
// way to a backend, is counted by the exporters: see exporter.Causes.
package loss

import (
	"fmt"
	"strings"
)

// Counts are what was lost since tracing began, one field for each row of [Table].
type Counts struct {
	Gated, RingFull, Missed, XmitOverflow, XmitMismatch, Malformed uint64
	Late, Stray, Overflow, Evicted, Unnamed                        uint64
}

// Loss is one way to lose something.
type Loss struct {
	// Metric is the name of the counter, as OpenTelemetry writes it, and Unit its UCUM unit.
	Metric, Unit string
	// Where is the part of dwell that counts it.
	Where string
	// Sentence goes on after the number: "3 " + Sentence.
	Sentence string
	// Meaning is a sentence for the metric's help.
	Meaning string
	// Traces says what becomes of the traces.
	Traces string
	// Remedy says what to do about it, with flags and settings in back quotes.
	Remedy string
	// Of returns the field that counts it.
	Of func(*Counts) *uint64
}

// Since returns what was lost after before, which is an earlier state of c.
func (c Counts) Since(before Counts) Counts {
	var grown Counts
	for _, l := range Table() {
		*l.Of(&grown) = *l.Of(&c) - *l.Of(&before)
	}
	return grown
}

// String says on one line what was lost, in the order of the table, or "" if nothing was.
func (c Counts) String() string { return strings.Join(c.lines(Loss.line), "; ") }

// Advice returns a line for each kind of which anything was lost, with what to do about it.
func (c Counts) Advice() []string { return c.lines(Loss.advice) }

func (c Counts) lines(line func(l Loss, n uint64) string) []string {
	var lines []string
	for _, l := range Table() {
		if n := *l.Of(&c); n > 0 {
			lines = append(lines, line(l, n))
		}
	}
	return lines
}

func (l Loss) line(n uint64) string { return fmt.Sprintf("%d %s", n, l.Sentence) }

func (l Loss) advice(n uint64) string {
	return l.line(n) + ". " + strings.ReplaceAll(l.Remedy, "`", "")
}
