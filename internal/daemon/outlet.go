// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// outlet is a way out whose exporter can be exchanged while traces go through it. Every
// trace goes to exactly one of its exporters, and the account goes on: what an exporter
// has counted stays counted when it is gone.
type outlet struct {
	log *slog.Logger

	mu sync.RWMutex
	// current takes traces, nil for none.
	current exporter.Exporter
	// draining are those before it that are still sending.
	draining []exporter.Exporter
	// gone is the account of those that are over.
	gone exporter.Stats
	work sync.WaitGroup
	// stops end the time that those in the background were granted.
	stops map[exporter.Exporter]func()
}

var _ exporter.Exporter = (*outlet)(nil)

// Export implements [exporter.Exporter].
func (o *outlet) Export(ctx context.Context, traces []*trace.Trace) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.current == nil {
		return nil
	}
	return o.current.Export(ctx, traces)
}

// open reports whether there is an exporter.
func (o *outlet) open() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.current != nil
}

// exchange lets traces go to next from now on, and returns what they went to before,
// which nothing is given to any more: the caller retires it.
func (o *outlet) exchange(next exporter.Exporter) (before exporter.Exporter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, o.current = o.current, next
	if before != nil {
		o.draining = append(o.draining, before)
	}
	return before
}

// retire lets an exporter send what it has until ctx is done, and takes over its account.
// What it could not send is told.
func (o *outlet) retire(ctx context.Context, e exporter.Exporter) {
	if e == nil {
		return
	}
	if err := e.Shutdown(ctx); err != nil {
		o.log.Warn(err.Error())
	}
	stats := final(e.Stats())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = o.gone.Plus(stats)
	o.draining = slices.DeleteFunc(o.draining, func(d exporter.Exporter) bool { return d == e })
}

// retireLater is retire in the background; Shutdown waits for it, and calls stop when its
// own time is over.
func (o *outlet) retireLater(ctx context.Context, stop func(), e exporter.Exporter) {
	if e == nil {
		stop()
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stops == nil {
		o.stops = map[exporter.Exporter]func(){}
	}
	o.stops[e] = stop
	o.work.Go(func() {
		defer stop()
		o.retire(ctx, e)
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.stops, e)
	})
}

// hurry ends the time of those that are retired in the background.
func (o *outlet) hurry() {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, stop := range o.stops {
		stop()
	}
}

// handOver exchanges an exporter for one that cannot be opened before the other has ended,
// which it does by the end of ctx. Traces are held meanwhile, up to so many spans. The
// error is that of open; if it has returned no exporter, traces go nowhere.
func (o *outlet) handOver(ctx context.Context, spans int64, open func() (exporter.Exporter, error)) error {
	held := &holder{limit: spans}
	o.retire(ctx, o.exchange(held))
	next, err := open()
	o.exchange(next)
	if next != nil {
		err = errors.Join(err, next.Export(context.WithoutCancel(ctx), held.take()))
	}
	o.retire(ctx, held)
	return err
}

// final is the account of an exporter that is over. What is in the spool is for whoever
// opens it next; what was not taken at all is lost.
func final(s exporter.Stats) exporter.Stats {
	var none exporter.Stats
	left := s.Queued.Minus(s.Spooled)
	s.Queued, s.Spooled, s.SpoolBytes = none.Queued, none.Spooled, none.SpoolBytes
	if left != (exporter.Count{}) {
		s = s.Plus(exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseShutdown: left}})
	}
	return s
}

// Shutdown implements [exporter.Exporter]. What was lost is told and counted, and no
// error: of an agent that runs for months that would be the news of a bad day long ago.
func (o *outlet) Shutdown(ctx context.Context) error {
	defer context.AfterFunc(ctx, o.hurry)()
	o.retire(ctx, o.exchange(nil))
	o.work.Wait()
	return nil
}

// Stats implements [exporter.Exporter].
func (o *outlet) Stats() exporter.Stats {
	o.mu.RLock()
	defer o.mu.RUnlock()
	sum := o.gone.Plus(exporter.Stats{}) // a copy
	for _, e := range o.draining {
		sum = sum.Plus(e.Stats())
	}
	if o.current != nil {
		sum = sum.Plus(o.current.Stats())
	}
	return sum
}
