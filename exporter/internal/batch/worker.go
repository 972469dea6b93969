// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// work sends batches until the queue is closed and empty, or ctx is done.
func (b *Batcher) work(ctx context.Context, send Sender) {
	defer close(b.done)
	for {
		traces := b.next(ctx)
		if len(traces) == 0 {
			return
		}
		b.sendOne(ctx, send, traces)
	}
}

func (b *Batcher) sendOne(ctx context.Context, send Sender, traces []*trace.Trace) {
	count := exporter.CountOf(traces...)
	r := Result{Lost: count, Cause: exporter.CauseShutdown}
	if ctx.Err() == nil {
		r = send(ctx, traces)
	}
	if ctx.Err() != nil && r.Lost == count {
		r.Cause = exporter.CauseShutdown
	}
	b.ledger.Settle(count, r.Lost, r.Cause)
	b.release(traces)
}

// next waits for a batch that is full, old enough or the last. It returns nothing
// when there will be no more.
func (b *Batcher) next(ctx context.Context) []*trace.Trace {
	for {
		traces, due, closed := b.take(ctx.Err() != nil)
		if len(traces) > 0 || closed {
			signal(b.wake) // another worker may have something to do, too
			return traces
		}
		b.wait(ctx, b.wake, due)
	}
}

// wait returns when c has an element, after due if that is not 0, or when ctx is done.
func (b *Batcher) wait(ctx context.Context, c <-chan struct{}, due time.Duration) {
	var after <-chan time.Time
	if due > 0 {
		timer := time.NewTimer(due)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-c:
	case <-after:
	case <-ctx.Done():
	}
}

// take cuts a batch from the queue if there is enough for one, if what is there has
// waited long enough, or if it must be cut now. Otherwise it returns in how long a
// batch will be due, 0 if nothing waits, and whether the queue is closed.
func (b *Batcher) take(now bool) (traces []*trace.Trace, due time.Duration, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return nil, 0, b.closed
	}
	if !now && !b.closed && b.spans < b.options.BatchSpans {
		if due = b.options.Delay - time.Since(b.since); due > 0 {
			return nil, due, false
		}
	}
	n, spans := 0, 0
	for n < len(b.queue) && spans < b.options.BatchSpans {
		spans += len(b.queue[n].Spans)
		n++
	}
	traces, b.queue = b.queue[:n:n], b.queue[n:]
	b.waits.take(traces)
	if len(b.queue) == 0 {
		b.queue = nil // do not keep what was sent
	}
	b.spans -= spans
	b.since = time.Now()
	return traces, 0, b.closed
}

// empty reports whether the queue is.
func (b *Batcher) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) == 0
}

// putBack returns a batch to the head of the queue, and wakes the worker, which may have
// found the queue empty meanwhile and have nothing else to wake it.
func (b *Batcher) putBack(traces []*trace.Trace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(traces[:len(traces):len(traces)], b.queue...)
	b.waits.putBack(traces)
	b.spans += int(exporter.CountOf(traces...).Spans)
	signal(b.wake)
}
