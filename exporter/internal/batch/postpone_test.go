// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// TestOneBadBatchDoesNotHoldUpOthers: a batch that fails retryably every time lets the
// others pass, comes back later, and is accounted for all the while.
func TestOneBadBatchDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		const bad, n = 3, 10
		var healed atomic.Bool
		r := &backend{start: time.Now()}
		c := spoolOptions(s, r)
		c.Try = func(ctx context.Context, b spool.Batch) batch.Verdict {
			if binary.BigEndian.Uint64(b.Payload) == bad && !healed.Load() {
				return batch.Verdict{Fault: batch.Passing}
			}
			return r.try(ctx, b)
		}
		b := batch.NewSpooled(exporter.Queue{BatchSpans: 1}, c)
		for i := range n {
			if err := b.Export(t.Context(), []*trace.Trace{numbered(i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		one := exporter.Count{Traces: 1, Spans: 1}
		if got := b.Stats(); got.Sent.Traces != n-1 || got.Queued != one || got.Spooled != one || len(got.Lost) != 0 {
			t.Errorf("all but one should have arrived: %+v", got)
		}
		healed.Store(true)
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		b.Shutdown(t.Context())
		want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(r.got))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := b.Stats(); got.Sent.Traces != n || got.Queued != (exporter.Count{}) || got.Spooled != got.Queued {
			t.Errorf("%+v", got)
		}
	})
}

// TestRetryInfoIsBounded: a backend that asks to be left alone for a year is asked again
// after five minutes, and some jitter.
func TestRetryInfoIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		r := &backend{start: time.Now(), away: time.Minute, after: 365 * 24 * time.Hour}
		b := batch.NewSpooled(exporter.Queue{BatchSpans: 1}, spoolOptions(s, r))
		if err := b.Export(t.Context(), []*trace.Trace{numbered(0)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		r.mustWait(t, 2, 5*time.Minute)
		b.Shutdown(t.Context())
	})
}

// TestTraceWithoutSpans: it is counted like any other.
func TestTraceWithoutSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		c := spoolOptions(s, &backend{start: time.Now()})
		c.NewEncoder = func() batch.Encoder { return func(b []byte, _ []*trace.Trace) []byte { return b } }
		b := batch.NewSpooled(exporter.Queue{}, c)
		if err := b.Export(t.Context(), []*trace.Trace{of(0)}); err != nil {
			t.Fatal(err)
		}
		b.Shutdown(t.Context())
		if got := b.Stats(); got.Sent != (exporter.Count{Traces: 1}) || got.Queued != (exporter.Count{}) {
			t.Errorf("%+v", got)
		}
	})
}
