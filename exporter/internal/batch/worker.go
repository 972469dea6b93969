// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// work sends batches until the queue is closed and empty, or ctx is done.
func (b *Batcher) work(ctx context.Context) {
	defer close(b.done)
	for {
		traces := b.next(ctx)
		if len(traces) == 0 {
			return
		}
		b.sendOne(ctx, traces)
	}
}

func (b *Batcher) sendOne(ctx context.Context, traces []*trace.Trace) {
	count := exporter.CountOf(traces...)
	r := Result{Lost: count, Cause: exporter.CauseShutdown}
	if ctx.Err() == nil {
		r = b.send(ctx, traces)
	}
	if ctx.Err() != nil && r.Lost == count {
		r.Cause = exporter.CauseShutdown
	}
	b.mu.Lock()
	b.stats.Queued = b.stats.Queued.Minus(count)
	b.stats.Sent = b.stats.Sent.Plus(count.Minus(r.Lost))
	if r.Lost != (exporter.Count{}) {
		b.lose(r.Cause, r.Lost)
	}
	b.mu.Unlock()
	for _, t := range traces {
		b.room.Release(b.weight(t))
	}
}

// next waits for a batch that is full, old enough or the last. It returns nothing
// when there will be no more.
func (b *Batcher) next(ctx context.Context) []*trace.Trace {
	var due <-chan time.Time
	var old bool
	for {
		traces, waiting, closed := b.take(old || ctx.Err() != nil)
		if len(traces) > 0 || closed {
			return traces
		}
		if waiting && due == nil {
			timer := time.NewTimer(b.options.Delay)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-b.wake:
		case <-due:
			old = true
		case <-ctx.Done():
		}
	}
}

// take cuts a batch from the queue if there is enough for one, or if it must be
// cut now. It also returns whether spans are waiting and whether the queue is
// closed.
func (b *Batcher) take(now bool) (traces []*trace.Trace, waiting, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !now && !b.closed && b.spans < b.options.BatchSpans {
		return nil, len(b.queue) > 0, false
	}
	n, spans := 0, 0
	for n < len(b.queue) && spans < b.options.BatchSpans {
		spans += len(b.queue[n].Spans)
		n++
	}
	traces, b.queue = b.queue[:n:n], b.queue[n:]
	if len(b.queue) == 0 {
		b.queue = nil // do not keep what was sent
	}
	b.spans -= spans
	return traces, len(b.queue) > 0, b.closed
}
