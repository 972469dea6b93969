// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// Encoder appends encoded traces. It is used by one goroutine.
type Encoder func(b []byte, traces []*trace.Trace) []byte

// SendOptions is what a batcher needs that sends.
type SendOptions struct {
	// Spool is nil if there is none.
	Spool *spool.Spool
	// NewEncoder makes an encoder; each goroutine that encodes has its own.
	NewEncoder func() Encoder
	// Try sends one batch once. It returns soon after ctx is done. It may be called
	// concurrently.
	Try func(ctx context.Context, b spool.Batch) Verdict
	// Halve cuts a batch in two by its traces. It reports false for a batch of one. nil cuts
	// nothing.
	Halve func(b spool.Batch) (first, second spool.Batch, ok bool)
	// Senders is how many requests may be under way at the same time; default 1.
	Senders int
	// Backoff is the time between tries, and Slow that between tries that are denied;
	// default Backoff.
	Backoff, Slow Backoff
	// Patience is how long a batch is tried that is refused as too much.
	Patience time.Duration
	// Timeout is how long a batch is tried if there is no spool.
	Timeout time.Duration
}

func (o SendOptions) withDefaults() SendOptions {
	o.Senders = max(o.Senders, 1)
	if o.Slow == (Backoff{}) {
		o.Slow = o.Backoff
	}
	return o
}

// delay returns how long to wait before the next try, after so many without success.
func (o *SendOptions) delay(tries int, out outcome) time.Duration {
	b := o.Backoff
	if out.fault == Denied {
		b = o.Slow
	}
	return max(b.after(tries-1), granted(out.after))
}

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
// One goroutine decides what is sent, up to SendOptions.Senders requests at a time. It
// alternates between what is new and what is oldest in the spool: while a backlog drains,
// new traces arrive at once, and the backlog gets at least half of the requests. While
// sending fails, it is one request at a time. The other goroutine spills: it moves what
// waits in memory to the spool, all of it while every send fails, and what is above half of
// the queue while traces arrive faster than they are sent.
//
// A batch that is refused again and again does not block all others forever: after
// [baseTries] attempts it goes behind them. If the next one fares no better, the fault is
// not the batch's, and it is given twice as many tries, and so on, so that a backlog
// keeps its order through the backend's absence, except for a few batches.
type retrySender struct {
	*Batcher
	SendOptions
	encode Encoder
	// failing is set while every send fails.
	failing atomic.Bool
	// old is set if the next batch comes from the spool.
	old bool
	// allowed is how many tries a batch gets now.
	allowed int
	// awaited is set when the end has waited for a spool that could not be used.
	awaited bool
	buf     []byte
}

// NewSpooled starts a batcher with a spool behind its queue. It must be ended with
// Shutdown, after which what could not be sent is in the spool.
func NewSpooled(q exporter.Queue, o SendOptions) *Batcher {
	b, ctx := prepare(q, o.Spool)
	b.full = func() exporter.Cause {
		if o.Spool.Failing() {
			return exporter.CauseSpoolWrite
		}
		return exporter.CauseQueueFull
	}
	b.grace = stashGrace
	s := &retrySender{Batcher: b, SendOptions: o.withDefaults(), encode: o.NewEncoder(), allowed: baseTries}
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

// work sends until the queue is closed and empty, or ctx is done.
func (s *retrySender) work(ctx context.Context) {
	l := s.left()
	for l.parts != nil || s.fetch(ctx, l) {
		if !s.deliver(ctx, l) {
			s.keep(l)
			return
		}
		l = &shipment{}
	}
}

// deliver tries until all is settled. It reports false if it must give up.
func (s *retrySender) deliver(ctx context.Context, l *shipment) bool {
	n := s.Senders
	for tries := 0; ; {
		out := l.send(ctx, &s.SendOptions, n)
		if out.kept {
			s.buf = nil
		}
		if out.progress {
			n, tries = s.Senders, 0
			s.failing.Store(false)
			s.allowed = baseTries
		}
		switch {
		case len(l.parts) == 0:
			s.Spool.SettleAll(l.count, l.lost)
			s.release(l.traces)
			return true
		case out.fault == Final: // what was cut in two is sent now
			continue
		case !out.progress:
			n = 1
			tries++
			s.failing.Store(true)
			signal(s.spill)
		}
		if !s.pause(ctx, s.delay(max(tries, 1), out)) {
			return false
		}
		if tries >= s.allowed && out.fault == Passing && s.postpone(l) {
			return true
		}
	}
}

// postpone puts what is left behind all others, if there are any. It reports false if it
// must be tried again now.
func (s *retrySender) postpone(l *shipment) bool {
	if s.empty() && s.Spool.Empty() || s.Spool.PostponeRest(l.settled, l.lost, l.rest()) != nil {
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

// keep leaves what was not settled on disk.
func (s *retrySender) keep(l *shipment) {
	defer s.release(l.traces)
	if !s.awaited {
		s.Spool.Await(stashGrace / 2)
		s.awaited = true
	}
	if l.settled == (exporter.Count{}) {
		if !l.held && s.Spool.Append(l.rest()) != nil {
			s.Spool.Lose(exporter.CauseSpoolWrite, l.count)
		}
		return
	}
	if s.Spool.PostponeRest(l.settled, l.lost, l.rest()) == nil || l.held {
		return // if it could not be written, all of it is sent once more
	}
	l.giveUp(func(Result) exporter.Cause { return exporter.CauseSpoolWrite })
	s.Spool.SettleAll(l.count, l.lost)
}

// stash moves all that is left in memory to the spool, at the end.
func (s *retrySender) stash() {
	for {
		traces, _, _ := s.take(true)
		if len(traces) == 0 {
			return
		}
		s.buf = s.encode(s.buf[:0], traces)
		l := &shipment{traces: traces}
		l.add(spool.Batch{Payload: s.buf, Count: exporter.CountOf(traces...)})
		s.keep(l)
	}
}
