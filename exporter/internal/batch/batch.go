// SPDX-License-Identifier: Apache-2.0

// Package batch is what all exporters that write elsewhere have in common: a
// bounded queue, batches cut from it by size and by time, one goroutine that sends
// them, and an account of what became of every trace.
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

// Batcher queues traces for a Sender. Its methods may be called concurrently.
type Batcher struct {
	options exporter.Queue
	send    Sender
	// room holds as many units as there may be spans waiting.
	room *semaphore.Weighted
	// wake has an element when the queue has changed since the worker looked.
	wake chan struct{}
	// done is closed when the worker has ended.
	done chan struct{}
	// abort cancels what the worker is sending.
	abort context.CancelFunc

	mu     sync.Mutex
	queue  []*trace.Trace
	spans  int
	closed bool
	stats  exporter.Stats
}

// ErrDropped is returned by Export if some traces found no room in the queue.
var ErrDropped = errors.New("the export queue is full")

// ErrClosed is returned by Export after Shutdown.
var ErrClosed = errors.New("the exporter is shut down")

// New starts a batcher. It must be ended with Shutdown.
func New(o exporter.Queue, send Sender) *Batcher {
	o = o.WithDefaults()
	ctx, abort := context.WithCancel(context.Background())
	b := &Batcher{
		options: o,
		send:    send,
		room:    semaphore.NewWeighted(int64(o.Spans)),
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		abort:   abort,
		stats:   exporter.Stats{Lost: make(map[exporter.Cause]exporter.Count)},
	}
	go b.work(ctx)
	return b
}

// Export queues the traces one by one, waiting for room no longer than
// Queue.Wait in all.
func (b *Batcher) Export(ctx context.Context, traces []*trace.Trace) error {
	wait, cancel := b.patience(ctx)
	defer cancel()
	var err error
	for _, t := range traces {
		if e := b.export(wait, t); e != nil {
			err = e
		}
	}
	return err
}

// patience returns the context that ends when Export may wait no longer.
func (b *Batcher) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	switch b.options.Wait {
	case 0:
		return nil, func() {}
	case exporter.Forever:
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, b.options.Wait)
}

func (b *Batcher) export(wait context.Context, t *trace.Trace) error {
	if !b.reserve(wait, b.weight(t)) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lose(exporter.CauseQueueFull, exporter.CountOf(t))
		return ErrDropped
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.room.Release(b.weight(t))
		b.lose(exporter.CauseShutdown, exporter.CountOf(t))
		return ErrClosed
	}
	b.queue = append(b.queue, t)
	b.spans += len(t.Spans)
	b.stats.Queued = b.stats.Queued.Plus(exporter.CountOf(t))
	if len(b.queue) == 1 || b.spans >= b.options.BatchSpans {
		b.signal()
	}
	return nil
}

func (b *Batcher) reserve(wait context.Context, n int64) bool {
	if wait == nil {
		return b.room.TryAcquire(n)
	}
	return b.room.Acquire(wait, n) == nil
}

// weight is how much room a trace takes: one longer than the whole queue takes all
// of it, so that it can be sent at all.
func (b *Batcher) weight(t *trace.Trace) int64 {
	return int64(min(len(t.Spans), b.options.Spans))
}

// lose counts a loss. b.mu is held.
func (b *Batcher) lose(cause exporter.Cause, c exporter.Count) {
	b.stats.Lost[cause] = b.stats.Lost[cause].Plus(c)
}

// Stats returns what became of the traces so far.
func (b *Batcher) Stats() exporter.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return exporter.Stats{}.Plus(b.stats)
}

// grace is how long Shutdown waits for a sender that was told to give up.
const grace = time.Second

// Shutdown sends what is queued and ends the worker. When ctx is done first, what
// is still there is counted as lost and the sender is told to give up. If it does
// not even do that, stuck in a write to a pipe that nobody reads for example,
// Shutdown returns all the same and what is there stays counted as queued.
func (b *Batcher) Shutdown(ctx context.Context) {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
	defer b.abort()
	select {
	case <-b.done:
		return
	case <-ctx.Done():
	}
	b.abort()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-timer.C:
	}
}

func (b *Batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
