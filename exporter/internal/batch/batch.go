// SPDX-License-Identifier: Apache-2.0

// Package batch is what all exporters that write elsewhere have in common: a
// bounded queue, batches cut from it by size and by time, a goroutine that sends
// them, an account of what became of every trace, and, for those that want one, a
// spool behind the queue.
//
// It is not OpenTelemetry's batch span processor because that one queues spans:
// when its queue is full it tears holes into traces. Here a trace is kept or
// dropped as a whole.
package batch

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// Result says what became of a batch. The zero value means that all was taken.
type Result struct {
	// Lost is how much of the batch was not taken, and Cause why.
	Lost  exporter.Count
	Cause exporter.Cause
}

// Sender sends one batch. It returns when the batch is taken or given up, at the
// latest soon after ctx is done. It is called from one goroutine.
type Sender func(ctx context.Context, traces []*trace.Trace) Result

// Batcher queues traces for a Sender, or for a spool and what empties it. Its methods may
// be called concurrently.
type Batcher struct {
	options exporter.Queue
	ledger  ledger
	// full says why a trace that finds no room is lost.
	full func() exporter.Cause
	// room holds as many units as there may be spans waiting.
	room *semaphore.Weighted
	// wake has an element when the queue has changed since the worker looked.
	wake chan struct{}
	// spill has one when the queue may be so full that the spool must take some.
	spill chan struct{}
	// closing is closed when Shutdown begins, done when the worker has ended.
	closing, done chan struct{}
	// abort cancels what the worker is sending.
	abort context.CancelFunc
	// grace is how long Shutdown waits for a worker after cancelling it.
	grace time.Duration
	waits waits

	mu     sync.Mutex
	queue  []*trace.Trace
	spans  int
	closed bool
	// since is when what is queued began to wait.
	since time.Time
}

// ErrDropped is returned by Export if some traces found no room in the queue.
var ErrDropped = errors.New("the export queue is full")

// ErrClosed is returned by Export after Shutdown.
var ErrClosed = errors.New("the exporter is shut down")

// New starts a batcher. It must be ended with Shutdown.
func New(o exporter.Queue, send Sender) *Batcher {
	b, ctx := prepare(o, newMemory())
	b.full = func() exporter.Cause { return exporter.CauseQueueFull }
	b.grace = time.Second
	go b.work(ctx, send)
	return b
}

func prepare(o exporter.Queue, l ledger) (*Batcher, context.Context) {
	o = o.WithDefaults()
	ctx, abort := context.WithCancel(context.Background())
	return &Batcher{
		options: o,
		ledger:  l,
		room:    semaphore.NewWeighted(int64(o.Spans)),
		wake:    make(chan struct{}, 1),
		spill:   make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		abort:   abort,
	}, ctx
}

// Export queues the traces, waiting for room no longer than Queue.Wait in all.
func (b *Batcher) Export(ctx context.Context, traces []*trace.Trace) error {
	wait, cancel := b.roomContext(ctx)
	defer cancel()
	var err error
	from := 0 // those from here on have room and are not queued yet
	for i, t := range traces {
		if b.room.TryAcquire(b.weight(t)) {
			continue
		}
		err = errors.Join(err, b.enqueue(traces[from:i]))
		from = i
		if wait == nil || b.room.Acquire(wait, b.weight(t)) != nil {
			from = i + 1
			err = ErrDropped
			b.ledger.Refuse(b.full(), exporter.CountOf(t))
		}
	}
	if e := b.enqueue(traces[from:]); e != nil {
		err = e
	}
	return err
}

// roomContext returns the context that ends when Export may wait no longer.
func (b *Batcher) roomContext(ctx context.Context) (context.Context, context.CancelFunc) {
	switch b.options.Wait {
	case 0:
		return nil, func() {}
	case exporter.Forever:
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, b.options.Wait)
}

// enqueue queues traces for which there is room.
func (b *Batcher) enqueue(traces []*trace.Trace) error {
	if len(traces) == 0 {
		return nil
	}
	count := exporter.CountOf(traces...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.release(traces)
		b.ledger.Refuse(exporter.CauseShutdown, count)
		return ErrClosed
	}
	b.ledger.Accept(count)
	first := len(b.queue) == 0
	if first {
		b.since = time.Now()
	}
	b.queue = append(b.queue, traces...)
	b.waits.arrive(len(traces))
	b.spans += int(count.Spans)
	if first || b.spans >= b.options.BatchSpans {
		signal(b.wake)
		signal(b.spill)
	}
	return nil
}

// weight is how much room a trace takes: one longer than the whole queue takes all
// of it, so that it can be sent at all.
func (b *Batcher) weight(t *trace.Trace) int64 {
	return int64(min(len(t.Spans), b.options.Spans))
}

// release gives back the room of traces that are not in memory any more.
func (b *Batcher) release(traces []*trace.Trace) {
	b.waits.done(traces)
	for _, t := range traces {
		b.room.Release(b.weight(t))
	}
}

// Stats returns what became of the traces so far.
func (b *Batcher) Stats() exporter.Stats {
	return b.ledger.Stats().Plus(exporter.Stats{Oldest: b.waits.oldest()})
}

// Shutdown sends what is queued and ends the worker. When ctx is done first, the worker
// is cancelled; what is still there goes to the spool or is counted as lost. If the
// worker does not even return then, for example because it is stuck in a write to a pipe
// without a reader, Shutdown returns false and what is there stays counted as queued.
func (b *Batcher) Shutdown(ctx context.Context) (ended bool) {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.closing)
	}
	b.mu.Unlock()
	signal(b.wake)
	defer b.abort()
	select {
	case <-b.done:
		return true
	case <-ctx.Done():
	}
	b.abort()
	timer := time.NewTimer(b.grace)
	defer timer.Stop()
	select {
	case <-b.done:
		return true
	case <-timer.C:
		return false
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
