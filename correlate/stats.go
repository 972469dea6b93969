// SPDX-License-Identifier: Apache-2.0

package correlate

import "github.com/dwelltrace/dwell/correlate/trace"

// Stats counts what a [Correlator] did. Events = those in traces, plus Late,
// Stray and Overflow, plus those of pings still open or unnamed.
type Stats struct {
	// Events is the number of events added.
	Events uint64
	// Late events came in after the trace of their ping had been closed.
	Late uint64
	// Stray events are drivers' returns of packets of which nothing else was seen.
	Stray uint64
	// Overflow events were not kept because their ping had Options.MaxEvents already.
	Overflow uint64
	// Evicted pings were closed early because Options.MaxOpen were open.
	Evicted uint64
	// Open is the number of pings open now.
	Open int
	// Oldest is the time of the first event of the ping that has been open for longest, on the
	// events' clock, or 0 if none is open.
	Oldest uint64
	// Unnamed is the number of pings that are closed and wait for names now. GivenUp counts those
	// that have done so and whose traces were made without: see Options.NameWait.
	Unnamed int
	GivenUp uint64
	// Complete, Dropped, Expired, Unreachable and Partial count traces by outcome.
	Complete, Dropped, Expired, Unreachable, Partial uint64
	// Incomplete counts incomplete traces by cause.
	Incomplete map[trace.Cause]uint64
	// Duplicates is the number of replies delivered after the first.
	Duplicates uint64
}

// Pings returns the number of traces made.
func (s Stats) Pings() uint64 {
	return s.Complete + s.Dropped + s.Expired + s.Unreachable + s.Partial + s.IncompleteTotal()
}

// IncompleteTotal returns the number of incomplete traces of all causes.
func (s Stats) IncompleteTotal() uint64 {
	var n uint64
	for _, v := range s.Incomplete {
		n += v
	}
	return n
}

// count adds a finished trace.
func (s *Stats) count(t *trace.Trace) {
	s.Duplicates += uint64(t.Duplicates)
	switch t.Outcome {
	case trace.Complete:
		s.Complete++
	case trace.Dropped:
		s.Dropped++
	case trace.Expired:
		s.Expired++
	case trace.Unreachable:
		s.Unreachable++
	case trace.Partial:
		s.Partial++
	case trace.Incomplete:
		s.Incomplete[t.Cause]++
	}
}
