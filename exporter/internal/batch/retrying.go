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
	r := &retrying{Batcher: b, SendOptions: o, encode: o.NewEncoder()}
	for range o.Senders {
		workers.Go(func() { r.work(ctx) })
	}
	go func() {
		defer close(b.done)
		workers.Wait()
	}()
	return b
}

// retrying is what the goroutines that send share.
type retrying struct {
	*Batcher
	SendOptions

	// packing is held to use what follows. One at a time encodes: an encoder remembers much, and
	// encoding takes much less time than sending.
	packing sync.Mutex
	encode  Encoder
	// free are the buffers that nothing is sent from, the one that was used last at the end: the
	// processor probably still has it in its cache.
	free [][]byte
}

// pack encodes a batch.
func (r *retrying) pack(traces []*trace.Trace) []byte {
	r.packing.Lock()
	defer r.packing.Unlock()
	var buf []byte
	if last := len(r.free) - 1; last >= 0 {
		buf, r.free = r.free[last], r.free[:last]
	}
	return r.encode(buf[:0], traces)
}

// unpack takes a buffer back.
func (r *retrying) unpack(buf []byte) {
	r.packing.Lock()
	defer r.packing.Unlock()
	r.free = append(r.free, buf)
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
	buf, kept := r.pack(traces), false
	l.add(spool.Batch{Payload: buf, Count: exporter.CountOf(traces...)})
	within, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	for tries := 1; len(l.parts) > 0 && ctx.Err() == nil; tries++ {
		out := l.send(within, &r.SendOptions, 1)
		kept = kept || out.kept
		if out.progress {
			tries = 0
		} else if !sleep(within, r.delay(tries, out)) {
			break
		}
	}
	if !kept {
		r.unpack(buf)
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
