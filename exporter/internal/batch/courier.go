// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// Verdict says what became of one try to send a batch.
type Verdict struct {
	Result
	// Again is set if the batch may be tried again; then Result means nothing.
	Again bool
	// After is how long the receiver wants to be left alone before that. It gets five
	// minutes at most.
	After time.Duration
	// Kept is set if somebody may still be reading the payload.
	Kept bool
}

// Encoder appends encoded traces. It is used by one goroutine.
type Encoder func(b []byte, traces []*trace.Trace) []byte

// Courier is what a batcher with a spool needs.
type Courier struct {
	Spool *spool.Spool
	// NewEncoder makes an encoder; there are two goroutines that encode.
	NewEncoder func() Encoder
	// Try sends one batch once. It returns soon after ctx is done. It is called from
	// one goroutine.
	Try func(ctx context.Context, b spool.Batch) Verdict
	// Backoff is the time between tries.
	Backoff Backoff
}

// Backoff grows by half with each try from First to Max. Each wait is drawn from half
// of it to one and a half, so that those who failed together do not come back together.
type Backoff struct{ First, Max time.Duration }

func (b Backoff) after(tries int) time.Duration {
	d := b.First
	for ; tries > 0 && d < b.Max; tries-- {
		d += d / 2
	}
	d = min(d, b.Max)
	return d/2 + rand.N(d+1)
}

// maxAfter bounds Verdict.After: nobody can tell a typing error or a clock that jumped
// from a wish to be left alone for days, and one request in five minutes harms nobody.
const maxAfter = 5 * time.Minute

// patience is how many tries a batch gets before others get theirs; at the default
// back-off that is some 20 s.
const patience = 8

// maxPatience bounds what patience grows to: at the default back-off that is a day.
const maxPatience = 1 << 14

// stashGrace is how long Shutdown waits until what is in memory is in the spool: a full
// queue is some 100 MB.
const stashGrace = 10 * time.Second

// courier sends batches from memory and from the spool.
//
// One goroutine sends. It takes in turn what is new and what is oldest in the spool:
// while a backlog drains, what happens now is seen now, and the backlog has at least
// half of the way for itself. The other goroutine spills: it moves what waits in memory
// to the spool, all of it while nothing gets through, and what is above half of the
// queue while it comes faster than it goes.
//
// A batch that is refused again and again does not stand in the way of all others
// forever: after [patience] tries it goes behind them. If the next one fares no better,
// the fault is not the batch's, and it is given twice as many tries, and so on, so that
// the order of a backlog outlives the backend's absence but for a few batches.
type courier struct {
	*Batcher
	Courier
	encode Encoder
	// failing is set while nothing gets through.
	failing atomic.Bool
	// old is set if it is the spool's turn.
	old bool
	// patience is how many tries a batch gets now.
	patience int
	buf      []byte
}

// NewSpooled starts a batcher with a spool behind its queue. It must be ended with
// Shutdown, after which what could not be sent is in the spool.
func NewSpooled(o exporter.Queue, c Courier) *Batcher {
	b, ctx := prepare(o, c.Spool)
	b.full = func() exporter.Cause {
		if c.Spool.Failing() {
			return exporter.CauseSpoolWrite
		}
		return exporter.CauseQueueFull
	}
	b.grace = stashGrace
	w := &courier{Batcher: b, Courier: c, encode: c.NewEncoder(), patience: patience}
	spilled := make(chan struct{})
	go func() {
		defer close(spilled)
		(&spiller{courier: w, encode: c.NewEncoder()}).work()
	}()
	go func() {
		defer close(b.done)
		w.work(ctx)
		<-spilled
		w.stash()
	}()
	return b
}

// load is a batch on its way.
type load struct {
	spool.Batch
	// traces is what it was made of, if it came from memory.
	traces []*trace.Trace
	// held is set if it is on disk.
	held bool
}

// work sends until the queue is closed and empty, or ctx is done.
func (w *courier) work(ctx context.Context) {
	l := load{Batch: w.Spool.Left(), held: true}
	for l.Payload != nil || w.load(ctx, &l) {
		if !w.deliver(ctx, &l) {
			w.keep(&l)
			return
		}
		l = load{}
	}
}

// load waits for the next batch. It reports false when there will be none.
func (w *courier) load(ctx context.Context, l *load) bool {
	for {
		due, closed := w.pick(l)
		if l.Payload != nil {
			return ctx.Err() == nil || w.giveBack(l)
		}
		if closed || ctx.Err() != nil {
			return false
		}
		w.wait(ctx, w.wake, due)
	}
}

// giveBack keeps a batch that was picked too late to be sent.
func (w *courier) giveBack(l *load) bool {
	w.keep(l)
	return false
}

// pick takes the next batch if there is one, and says otherwise when there may be.
func (w *courier) pick(l *load) (due time.Duration, closed bool) {
	if w.old && w.pickOld(l) {
		return 0, false
	}
	traces, due, closed := w.take(false)
	if len(traces) > 0 {
		w.old = true
		w.pack(l, traces)
		return 0, closed
	}
	if !closed && !w.pickOld(l) && due == 0 && !w.Spool.Empty() {
		due = diskPause // it cannot be read now
	}
	return due, closed
}

// pickOld takes the oldest batch out of the spool, unless time is short.
func (w *courier) pickOld(l *load) bool {
	if w.isClosing() {
		return false
	}
	w.old = false
	l.Batch, l.held = w.Spool.Take(), true
	return l.Payload != nil
}

func (w *courier) isClosing() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// pack encodes a batch from memory and puts it on disk before it is sent.
func (w *courier) pack(l *load, traces []*trace.Trace) {
	if w.buf = w.encode(w.buf[:0], traces); w.buf == nil {
		w.buf = []byte{} // of traces without spans; they are a batch, too
	}
	l.Batch = spool.Batch{Payload: w.buf, Count: exporter.CountOf(traces...)}
	l.traces = traces
	l.held = w.Spool.Hold(l.Batch) == nil
}

// deliver tries until the batch is settled. It reports false if it must give up.
func (w *courier) deliver(ctx context.Context, l *load) bool {
	for tries := 1; ; tries++ {
		v := w.Try(ctx, l.Batch)
		if v.Kept {
			w.buf = nil
		}
		if !v.Again {
			w.failing.Store(false)
			w.patience = patience
			w.Spool.Settle(l.Count, v.Lost, v.Cause)
			w.release(l.traces)
			return true
		}
		w.failing.Store(true)
		signal(w.spill)
		if !w.pause(ctx, max(w.Backoff.after(tries-1), min(v.After, maxAfter))) {
			return false
		}
		if tries >= w.patience && w.postpone(l) {
			return true
		}
	}
}

// postpone puts a batch behind all others, if there are any. It reports false if the
// batch must be tried again now.
func (w *courier) postpone(l *load) bool {
	if w.empty() && w.Spool.Empty() || w.Spool.Postpone(l.Batch) != nil {
		return false
	}
	w.release(l.traces)
	w.patience = min(2*w.patience, maxPatience)
	return true
}

// pause waits before the next try. It reports false if there will be none: while
// nothing gets through, Shutdown need not wait, since what is held is safe.
func (w *courier) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-w.closing:
	}
	return false
}

// keep leaves a batch that was not settled on disk.
func (w *courier) keep(l *load) {
	defer w.release(l.traces)
	if !l.held && w.Spool.Append(l.Batch) != nil {
		w.Spool.Lose(exporter.CauseSpoolWrite, l.Count)
	}
}

// stash moves all that is left in memory to the spool, at the end.
func (w *courier) stash() {
	for {
		traces, _, _ := w.take(true)
		if len(traces) == 0 {
			return
		}
		w.buf = w.encode(w.buf[:0], traces)
		w.keep(&load{Batch: spool.Batch{Payload: w.buf, Count: exporter.CountOf(traces...)}, traces: traces})
	}
}
