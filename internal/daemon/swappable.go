// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// swappable is an exporter that can be replaced while traces go through it. Every
// trace goes to exactly one of its exporters, and the account goes on: what an exporter
// has counted stays counted when it is gone.
type swappable struct {
	log *slog.Logger

	mu sync.RWMutex
	// current takes traces, nil for none.
	current exporter.Exporter
	// draining are those before it that are still sending.
	draining []exporter.Exporter
	// gone is the account of those that have ended.
	gone exporter.Stats
	work sync.WaitGroup
	// stops cancel the exporters that are retiring in the background.
	stops map[exporter.Exporter]func()
}

var _ exporter.Exporter = (*swappable)(nil)

// Export implements [exporter.Exporter].
func (s *swappable) Export(ctx context.Context, traces []*trace.Trace) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.current == nil {
		return nil
	}
	return s.current.Export(ctx, traces)
}

// now returns the exporter that takes traces, nil if there is none.
func (s *swappable) now() exporter.Exporter {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current
}

// open reports whether there is an exporter.
func (s *swappable) open() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current != nil
}

// swap sends traces to next from now on, and returns the exporter before it, which gets
// no more traces: the caller retires it.
func (s *swappable) swap(next exporter.Exporter) (before exporter.Exporter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.current = s.current, next
	if before != nil {
		s.draining = append(s.draining, before)
	}
	return before
}

// retire lets an exporter send what it has until ctx is done, and takes over its account.
// What it could not send is logged.
func (s *swappable) retire(ctx context.Context, e exporter.Exporter) {
	if e == nil {
		return
	}
	if err := e.Shutdown(ctx); err != nil {
		s.log.Warn(err.Error())
	}
	stats := final(e.Stats())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = s.gone.Plus(stats)
	s.draining = slices.DeleteFunc(s.draining, func(d exporter.Exporter) bool { return d == e })
}

// retireLater is retire in the background; Shutdown waits for it, and calls stop when its
// own time is over.
func (s *swappable) retireLater(ctx context.Context, stop func(), e exporter.Exporter) {
	if e == nil {
		stop()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stops == nil {
		s.stops = map[exporter.Exporter]func(){}
	}
	s.stops[e] = stop
	s.work.Go(func() {
		defer stop()
		s.retire(ctx, e)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.stops, e)
	})
}

// hurry cancels the exporters that are retiring in the background.
func (s *swappable) hurry() { s.hurryAfter(0) }

// hurryAfter cancels, after a while, the exporters that are retiring in the background now.
// What one is just sending when it is cut short is sent once more from its spool: it may have
// been taken.
func (s *swappable) hurryAfter(grace time.Duration) {
	s.mu.RLock()
	stops := slices.Collect(maps.Values(s.stops))
	s.mu.RUnlock()
	hurry := func() {
		for _, stop := range stops {
			stop()
		}
	}
	if grace <= 0 {
		hurry()
		return
	}
	time.AfterFunc(grace, hurry)
}

// resume sends traces to next from now on, and first what was held until there was one; nil
// for none. The buffer is what takes traces now.
func (s *swappable) resume(held *handOverBuffer, next exporter.Exporter) {
	s.swap(next)
	if next != nil {
		_ = next.Export(context.Background(), held.take()) // what it cannot take is counted
	}
	s.retire(context.Background(), held)
}

// final is the account of an exporter that has ended. What is in the spool belongs to the
// next user of it; what was not taken at all is lost.
func final(s exporter.Stats) exporter.Stats {
	var none exporter.Stats
	left := s.Queued.Minus(s.Spooled)
	s.Queued, s.Spooled, s.SpoolBytes, s.SpoolsFailing = none.Queued, none.Spooled, 0, 0
	if left != (exporter.Count{}) {
		s = s.Plus(exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseShutdown: left}})
	}
	return s
}

// Shutdown implements [exporter.Exporter]. What was lost is logged and counted, but not
// an error: for an agent that runs for months that would be news of a bad day long ago.
func (s *swappable) Shutdown(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.hurry)()
	s.retire(ctx, s.swap(nil))
	s.work.Wait()
	return nil
}

// Stats implements [exporter.Exporter].
func (s *swappable) Stats() exporter.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sum := s.gone.Plus(exporter.Stats{}) // a copy
	for _, e := range s.draining {
		sum = sum.Plus(e.Stats())
	}
	if s.current != nil {
		sum = sum.Plus(s.current.Stats())
	}
	return sum
}

// busy reports whether there is an exporter, or one before it that is still sending.
func (s *swappable) busy() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current != nil || len(s.draining) > 0
}
