// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// NewRetrying starts a batcher that tries each batch for as long as SendOptions.Timeout, and
// SendOptions.Senders batches at the same time. It must be ended with Shutdown.
func NewRetrying(q exporter.Queue, o SendOptions) *Batcher {
	o = o.withDefaults()
	b, ctx := prepare(q, newMemory())
	b.full = func() exporter.Cause { return exporter.CauseQueueFull }
	b.grace = time.Second
	var workers sync.WaitGroup
	encode := oneAtATime(o.NewEncoder())
	for range o.Senders {
		workers.Go(func() { (&retrying{Batcher: b, SendOptions: o, encode: encode}).work(ctx) })
	}
	go func() {
		defer close(b.done)
		workers.Wait()
	}()
	return b
}

// oneAtATime lets several goroutines use an encoder, which remembers much: encoding takes much
// less time than sending.
func oneAtATime(encode Encoder) Encoder {
	var mu sync.Mutex
	return func(b []byte, traces []*trace.Trace) []byte {
		mu.Lock()
		defer mu.Unlock()
		return encode(b, traces)
	}
}

// retrying is one of the goroutines that send.
type retrying struct {
	*Batcher
	SendOptions
	encode Encoder
	buf    []byte
}

func (r *retrying) work(ctx context.Context) {
	for {
		traces := r.next(ctx)
		if len(traces) == 0 {
			return
		}
		l := r.deliver(ctx, traces)
		r.ledger.SettleAll(l.count, l.lost)
		r.release(traces)
	}
}

// deliver tries until the batch is settled or its time is over.
func (r *retrying) deliver(ctx context.Context, traces []*trace.Trace) *shipment {
	l := &shipment{}
	r.buf = r.encode(r.buf[:0], traces)
	l.add(spool.Batch{Payload: r.buf, Count: exporter.CountOf(traces...)})
	within, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	for tries := 1; len(l.parts) > 0 && ctx.Err() == nil; tries++ {
		out := l.send(within, &r.SendOptions, 1)
		if out.kept {
			r.buf = nil
		}
		if out.progress {
			tries = 0
		} else if !sleep(within, r.delay(tries, out)) {
			break
		}
	}
	over := ctx.Err() != nil
	l.giveUp(func(last Result) exporter.Cause {
		if over {
			return exporter.CauseShutdown
		}
		return last.Cause
	})
	return l
}

// sleep reports false if ctx is done first, or will be.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
