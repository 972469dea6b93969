// SPDX-License-Identifier: Apache-2.0

// Package exporter is where traces leave dwell: to an OTLP endpoint, to a file,
// to the terminal.
//
// The work is split by what can go wrong. Package otlp only transforms and cannot
// fail; otlpgrpc and otlpfile only carry what it made; queueing, batching and
// shutting down are the same for both and are in internal/batch. Packages waterfall and
// table are for people. All of them know traces and nothing of the kernel or of how
// traces are correlated.
//
// Nothing is lost silently: every span handed to [Exporter.Export] is at any time
// in exactly one count of [Stats], and with a [Spool] that stays true of what a
// process that was killed has left behind.
package exporter

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

//go:generate go run ./internal/attrdoc ../docs/attributes.md
//go:generate go run ./internal/lossdoc ../docs/losses.md

// Exporter takes finished traces. All methods may be called concurrently.
type Exporter interface {
	// Export takes the traces over; the caller must not change them afterwards.
	// It may return before they are where they should go: what became of them is
	// in Stats and in the error of Shutdown. An error means that some of these
	// traces are already known to be lost; they are counted too.
	Export(ctx context.Context, traces []*trace.Trace) error
	// Shutdown sends what is still held back, until ctx is done, and releases
	// everything. Its error says what was not delivered since the start. Traces exported
	// afterwards are counted as lost.
	Shutdown(ctx context.Context) error
	// Stats returns what became of the traces so far.
	Stats() Stats
}

// Count is a number of traces and of spans.
type Count struct {
	Traces, Spans int64
}

// Plus returns the sum of two counts.
func (c Count) Plus(d Count) Count {
	return Count{Traces: c.Traces + d.Traces, Spans: c.Spans + d.Spans}
}

// Minus returns the difference of two counts.
func (c Count) Minus(d Count) Count {
	return Count{Traces: c.Traces - d.Traces, Spans: c.Spans - d.Spans}
}

// String returns, for example, "2 traces (50 spans)".
func (c Count) String() string {
	return plural(c.Traces, "trace") + " (" + plural(c.Spans, "span") + ")"
}

// CountOf returns how many traces there are and how many spans in them.
func CountOf(traces ...*trace.Trace) Count {
	c := Count{Traces: int64(len(traces))}
	for _, t := range traces {
		c.Spans += int64(len(t.Spans))
	}
	return c
}

// Stats says what became of all traces that were exported.
type Stats struct {
	// Sent is what the other side has taken.
	Sent Count
	// Queued is what has not been sent yet, in memory and on disk.
	Queued Count
	// Spooled is the part of Queued that is on disk and outlives this process.
	Spooled Count
	// SpoolBytes is the size of the spool on disk.
	SpoolBytes int64
	// SpoolsFailing is how many spools nothing can be written to now, whether their disk takes
	// nothing or they cannot be opened.
	SpoolsFailing int64
	// Oldest is since when the trace has been queued that has been for longest, OldestSpooled
	// the same of those on disk; zero if there is none.
	Oldest, OldestSpooled time.Time
	// Recovered is what the previous user of the spool left unsettled in it: an earlier
	// process, or an earlier exporter of this one. It is in Sent, Queued or Lost along
	// with what was exported since.
	Recovered Count
	// Lost is what will never be sent, by cause.
	Lost map[Cause]Count
}

// TotalLost returns the sum over all causes.
func (s Stats) TotalLost() Count {
	var sum Count
	for _, c := range s.Lost {
		sum = sum.Plus(c)
	}
	return sum
}

// Plus returns the sum of two statistics.
func (s Stats) Plus(t Stats) Stats {
	sum := Stats{
		Sent:          s.Sent.Plus(t.Sent),
		Queued:        s.Queued.Plus(t.Queued),
		Spooled:       s.Spooled.Plus(t.Spooled),
		SpoolBytes:    s.SpoolBytes + t.SpoolBytes,
		SpoolsFailing: s.SpoolsFailing + t.SpoolsFailing,
		Recovered:     s.Recovered.Plus(t.Recovered),
		Lost:          map[Cause]Count{},

		Oldest:        earlier(s.Oldest, t.Oldest),
		OldestSpooled: earlier(s.OldestSpooled, t.OldestSpooled),
	}
	for _, lost := range []map[Cause]Count{s.Lost, t.Lost} {
		for cause, c := range lost {
			sum.Lost[cause] = sum.Lost[cause].Plus(c)
		}
	}
	return sum
}

// earlier returns the earlier of two times, of which the zero ones do not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// LostString returns what was lost, by cause, on one line, or "" if nothing was.
func (s Stats) LostString() string {
	parts := make([]string, 0, len(s.Lost))
	for _, cause := range slices.Sorted(maps.Keys(s.Lost)) {
		if c := s.Lost[cause]; c != (Count{}) {
			parts = append(parts, string(cause)+": "+c.String())
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}
