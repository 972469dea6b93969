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
	// After is how long the receiver asks to wait before that, of which five minutes are
	// granted at most.
	After time.Duration
	// Kept is set if the payload may still be in use.
	Kept bool
}

// Encoder appends encoded traces. It is used by one goroutine.
type Encoder func(b []byte, traces []*trace.Trace) []byte

// SpoolOptions is what a batcher with a spool needs.
type SpoolOptions struct {
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
// of it to one and a half, so that clients that failed together do not retry together.
type Backoff struct{ First, Max time.Duration }

func (b Backoff) after(tries int) time.Duration {
	d := b.First
	for ; tries > 0 && d < b.Max; tries-- {
		d += d / 2
	}
	d = min(d, b.Max)
	return d/2 + rand.N(d+1)
}

// maxAfter bounds Verdict.After: a typing error or a clock that jumped looks like a
// request to wait for days, and one request in five minutes does no harm.
const maxAfter = 5 * time.Minute

// baseTries is how many tries a batch gets before others get theirs; at the default
// back-off that is some 20 s.
const baseTries = 8

// maxTries bounds what that grows to: at the default back-off that is a day.
const maxTries = 1 << 14

// stashGrace is how long Shutdown waits until what is in memory is in the spool: a full
// queue is some 100 MB.
const stashGrace = 10 * time.Second

// retrySender sends batches from memory and from the spool.
//
// One goroutine sends. It alternates between what is new and what is oldest in the spool:
// while a backlog drains, new traces arrive at once, and the backlog gets at least half
// of the requests. The other goroutine spills: it moves what waits in memory to the
// spool, all of it while every send fails, and what is above half of the queue while
// traces arrive faster than they are sent.
//
// A batch that is refused again and again does not block all others forever: after
// [baseTries] attempts it goes behind them. If the next one fares no better, the fault is
// not the batch's, and it is given twice as many tries, and so on, so that a backlog
// keeps its order through the backend's absence, except for a few batches.
type retrySender struct {
	*Batcher
	SpoolOptions
	encode Encoder
	// failing is set while every send fails.
	failing atomic.Bool
	// old is set if the next batch comes from the spool.
	old bool
	// allowed is how many tries a batch gets now.
	allowed int
	buf     []byte
}

// NewSpooled starts a batcher with a spool behind its queue. It must be ended with
// Shutdown, after which what could not be sent is in the spool.
func NewSpooled(q exporter.Queue, o SpoolOptions) *Batcher {
	b, ctx := prepare(q, o.Spool)
	b.full = func() exporter.Cause {
		if o.Spool.Failing() {
			return exporter.CauseSpoolWrite
		}
		return exporter.CauseQueueFull
	}
	b.grace = stashGrace
	s := &retrySender{Batcher: b, SpoolOptions: o, encode: o.NewEncoder(), allowed: baseTries}
	spilled := make(chan struct{})
	go func() {
		defer close(spilled)
		(&spoolWriter{retrySender: s, encode: o.NewEncoder()}).work()
	}()
	go func() {
		defer close(b.done)
		s.work(ctx)
		<-spilled
		s.stash()
	}()
	return b
}

// inflight is a batch on its way.
type inflight struct {
	spool.Batch
	// traces is what it was made of, if it came from memory.
	traces []*trace.Trace
	// held is set if it is on disk.
	held bool
}

// work sends until the queue is closed and empty, or ctx is done.
func (s *retrySender) work(ctx context.Context) {
	l := inflight{Batch: s.Spool.Left(), held: true}
	for l.Payload != nil || s.fetch(ctx, &l) {
		if !s.deliver(ctx, &l) {
			s.keep(&l)
			return
		}
		l = inflight{}
	}
}

// fetch waits for the next batch. It reports false when there will be none.
func (s *retrySender) fetch(ctx context.Context, l *inflight) bool {
	for {
		due, closed := s.pick(l)
		if l.Payload != nil {
			return ctx.Err() == nil || s.giveBack(l)
		}
		if closed || ctx.Err() != nil {
			return false
		}
		s.wait(ctx, s.wake, due)
	}
}

// giveBack keeps a batch that was picked too late to be sent.
func (s *retrySender) giveBack(l *inflight) bool {
	s.keep(l)
	return false
}

// pick takes the next batch if there is one, and says otherwise when there may be.
func (s *retrySender) pick(l *inflight) (due time.Duration, closed bool) {
	if s.old && s.pickOld(l) {
		return 0, false
	}
	traces, due, closed := s.take(false)
	if len(traces) > 0 {
		s.old = true
		s.pack(l, traces)
		return 0, closed
	}
	if !closed && !s.pickOld(l) && due == 0 && !s.Spool.Empty() {
		due = diskPause // it cannot be read now
	}
	return due, closed
}

// pickOld takes the oldest batch out of the spool, unless time is short.
func (s *retrySender) pickOld(l *inflight) bool {
	if s.isClosing() {
		return false
	}
	s.old = false
	l.Batch, l.held = s.Spool.Take(), true
	return l.Payload != nil
}

func (s *retrySender) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pack encodes a batch from memory and puts it on disk before it is sent.
func (s *retrySender) pack(l *inflight, traces []*trace.Trace) {
	if s.buf = s.encode(s.buf[:0], traces); s.buf == nil {
		s.buf = []byte{} // of traces without spans; they are a batch, too
	}
	l.Batch = spool.Batch{Payload: s.buf, Count: exporter.CountOf(traces...)}
	l.traces = traces
	l.held = s.Spool.Hold(l.Batch) == nil
}

// deliver tries until the batch is settled. It reports false if it must give up.
func (s *retrySender) deliver(ctx context.Context, l *inflight) bool {
	for tries := 1; ; tries++ {
		v := s.Try(ctx, l.Batch)
		if v.Kept {
			s.buf = nil
		}
		if !v.Again {
			s.failing.Store(false)
			s.allowed = baseTries
			s.Spool.Settle(l.Count, v.Lost, v.Cause)
			s.release(l.traces)
			return true
		}
		s.failing.Store(true)
		signal(s.spill)
		if !s.pause(ctx, max(s.Backoff.after(tries-1), min(v.After, maxAfter))) {
			return false
		}
		if tries >= s.allowed && s.postpone(l) {
			return true
		}
	}
}

// postpone puts a batch behind all others, if there are any. It reports false if the
// batch must be tried again now.
func (s *retrySender) postpone(l *inflight) bool {
	if s.empty() && s.Spool.Empty() || s.Spool.Postpone(l.Batch) != nil {
		return false
	}
	s.release(l.traces)
	s.allowed = min(2*s.allowed, maxTries)
	return true
}

// pause waits before the next try. It reports false if there will be none: while
// every send fails, Shutdown need not wait, because what is held is safe.
func (s *retrySender) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closing:
	}
	return false
}

// keep leaves a batch that was not settled on disk.
func (s *retrySender) keep(l *inflight) {
	defer s.release(l.traces)
	if !l.held && s.Spool.Append(l.Batch) != nil {
		s.Spool.Lose(exporter.CauseSpoolWrite, l.Count)
	}
}

// stash moves all that is left in memory to the spool, at the end.
func (s *retrySender) stash() {
	for {
		traces, _, _ := s.take(true)
		if len(traces) == 0 {
			return
		}
		s.buf = s.encode(s.buf[:0], traces)
		s.keep(&inflight{Batch: spool.Batch{Payload: s.buf, Count: exporter.CountOf(traces...)}, traces: traces})
	}
}
