// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// whims is a receiver that says anything of a request, and takes it in the end.
type whims struct {
	mu sync.Mutex
	// fates are what it says, one after the other.
	fates []batch.Verdict
	// small is how many traces it takes at once from the end of the whims on, 0 for any.
	small    int
	here     int
	most     int
	received map[int]int
	rejected int
}

func (w *whims) try(_ context.Context, b spool.Batch) batch.Verdict {
	w.enter()
	time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock, not ours
	w.mu.Lock()
	defer w.mu.Unlock()
	w.here--
	v := batch.Verdict{}
	if len(w.fates) > 0 {
		v, w.fates = w.fates[0], w.fates[1:]
	} else if w.small > 0 && len(b.Payload) > 8*w.small {
		v = batch.Verdict{Fault: batch.TooLarge}
	}
	if v.Fault != batch.Final {
		v.Lost, v.Cause = b.Count, "fault"
		return v
	}
	if v.Cause != "" {
		v.Lost = b.Count
		w.rejected += int(b.Count.Traces)
		return v
	}
	for p := b.Payload; len(p) > 0; p = p[8:] {
		w.received[int(binary.BigEndian.Uint64(p))]++
	}
	return v
}

func (w *whims) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.here++
	w.most = max(w.most, w.here)
}

// halve cuts a batch of IDs in two.
func halve(b spool.Batch) (first, second spool.Batch, ok bool) {
	if b.Count.Traces < 2 {
		return first, second, false
	}
	n := b.Count.Traces / 2
	first = spool.Batch{Payload: b.Payload[:8*n], Count: exporter.Count{Traces: n, Spans: n}}
	return first, spool.Batch{Payload: b.Payload[8*n:], Count: b.Count.Minus(first.Count)}, true
}

func fate(t *rapid.T) batch.Verdict {
	v := rapid.SampledFrom([]batch.Verdict{
		{},
		{Fault: batch.Passing},
		{Fault: batch.Passing, After: time.Minute},
		{Fault: batch.Denied},
		{Fault: batch.Exhausted},
		{Fault: batch.TooLarge},
		{Result: batch.Result{Cause: "refused"}},
	}).Draw(t, "fate")
	v.Kept = rapid.Bool().Draw(t, "kept")
	return v
}

// TestAnyFate: whatever a receiver says of requests, every trace arrives once or is counted as
// lost, with a spool and without, and never are more requests under way than may be.
func TestAnyFate(t *testing.T) {
	root, n := t.TempDir(), 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		f := drawFates(r)
		synctest.Test(t, func(*testing.T) { f.run(filepath.Join(root, strconv.Itoa(n))) })
		f.mustBalance(r)
	})
}

// fates are what a batcher is to go through.
type fates struct {
	whims   *whims
	queue   exporter.Queue
	options batch.SendOptions
	traces  int
	spooled bool

	err   error
	stats exporter.Stats
}

func drawFates(t *rapid.T) *fates {
	w := &whims{
		fates: rapid.SliceOfN(rapid.Custom(fate), 0, 60).Draw(t, "fates"),
		small: rapid.IntRange(0, 3).Draw(t, "small"), received: map[int]int{},
	}
	return &fates{
		whims: w, traces: rapid.IntRange(1, 60).Draw(t, "traces"), spooled: rapid.Bool().Draw(t, "spool"),
		queue: exporter.Queue{BatchSpans: rapid.IntRange(1, 6).Draw(t, "batch"), Delay: time.Second},
		options: batch.SendOptions{
			NewEncoder: ids, Try: w.try, Halve: halve, Senders: rapid.IntRange(1, 4).Draw(t, "senders"),
			Patience: time.Minute, Timeout: 20 * time.Second,
			Backoff: batch.Backoff{First: time.Second, Max: 5 * time.Second}, Slow: batch.Backoff{First: 5 * time.Second, Max: time.Minute},
		},
	}
}

// run is in a bubble, and ends when everything is settled.
func (f *fates) run(dir string) {
	var b *batch.Batcher
	if f.spooled {
		s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
		if err != nil {
			f.err = err
			return
		}
		defer s.Close()
		f.options.Spool = s
		b = batch.NewSpooled(f.queue, f.options)
	} else {
		b = batch.NewRetrying(f.queue, f.options)
	}
	for i := range f.traces {
		f.err = errors.Join(f.err, b.Export(context.Background(), []*trace.Trace{numbered(i)}))
	}
	time.Sleep(10 * time.Hour) //nolint:forbidigo // the bubble's clock, not ours
	synctest.Wait()
	b.Shutdown(context.Background())
	f.stats = b.Stats()
}

func (f *fates) mustBalance(t *rapid.T) {
	w, got := f.whims, f.stats
	for id, times := range w.received {
		if times != 1 {
			t.Errorf("trace %d has arrived %d times", id, times)
		}
	}
	if in := len(w.received) + int(got.TotalLost().Traces); got.Queued != (exporter.Count{}) || int(got.Sent.Traces) != len(w.received) || in != f.traces || f.err != nil {
		t.Errorf("%d exported (%v), %d received: %+v", f.traces, f.err, len(w.received), got)
	}
	if int(got.Lost["refused"].Traces) != w.rejected {
		t.Errorf("%d refused: %+v", w.rejected, got)
	}
	if w.most > f.options.Senders {
		t.Errorf("%d requests were under way, of %d", w.most, f.options.Senders)
	}
}
