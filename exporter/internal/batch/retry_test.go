// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// numbered makes a trace of one span whose ID has the number.
func numbered(n int) *trace.Trace {
	t := of(1)
	binary.BigEndian.PutUint64(t.ID[8:], uint64(n))
	return t
}

// ids encodes traces as their IDs.
func ids() batch.Encoder {
	return func(b []byte, traces []*trace.Trace) []byte {
		for _, t := range traces {
			b = append(b, t.ID[8:]...)
		}
		return b
	}
}

// backend is a receiver of IDs.
type backend struct {
	start time.Time
	// away is until when it answers nothing else than "again".
	away time.Duration
	// after is what it says about when to come back.
	after time.Duration
	tries []time.Duration
	got   []int
}

func (r *backend) try(_ context.Context, b spool.Batch) batch.Verdict {
	since := time.Since(r.start)
	r.tries = append(r.tries, since)
	if since < r.away {
		return batch.Verdict{Fault: batch.Passing, After: r.after}
	}
	for p := b.Payload; len(p) > 0; p = p[8:] {
		r.got = append(r.got, int(binary.BigEndian.Uint64(p)))
	}
	return batch.Verdict{}
}

// mustWait fails the test unless there were at least n tries with so much between them, or up
// to half as much more, and never twice the same: all clients were asked for the same.
func (r *backend) mustWait(t *testing.T, n int, after time.Duration) {
	t.Helper()
	if len(r.tries) < n {
		t.Errorf("%d tries, want %d: %v", len(r.tries), n, r.tries)
	}
	seen := map[time.Duration]bool{}
	for i := 1; i < len(r.tries); i++ {
		d := r.tries[i] - r.tries[i-1]
		if d < after || d > after+after/2+1 || seen[d] {
			t.Errorf("the tries %v are not %v apart, and some jitter", r.tries, after)
		}
		seen[d] = true
	}
}

func openSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Spool: exporter.Spool{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func spoolOptions(s *spool.Spool, r *backend) batch.SendOptions {
	return batch.SendOptions{Spool: s, NewEncoder: ids, Try: r.try, Backoff: batch.Backoff{First: time.Second, Max: 30 * time.Second}}
}

// TestAwayForMinutes exports a trace every second for twenty minutes, ten of which the
// backend is away. Memory holds ten traces; everything arrives once, and the
// backend was not asked more often than the back-off allows.
func TestAwayForMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		r := &backend{start: time.Now(), away: 10 * time.Minute}
		b := batch.NewSpooled(exporter.Queue{Spans: 10, BatchSpans: 2, Delay: 500 * time.Millisecond}, spoolOptions(s, r))
		const n = 20 * 60
		for i := range n {
			if err := b.Export(t.Context(), []*trace.Trace{numbered(i)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock, not ours
			synctest.Wait()
		}
		b.Shutdown(t.Context())
		sorted := make(map[int]int)
		for _, i := range r.got {
			sorted[i]++
		}
		for i := range n {
			if sorted[i] != 1 {
				t.Errorf("trace %d has arrived %d times", i, sorted[i])
			}
		}
		if got := b.Stats(); got.Sent.Traces != n || got.Queued != (exporter.Count{}) || len(got.Lost) != 0 {
			t.Errorf("%+v", got)
		}
		failed := 0
		for _, at := range r.tries {
			if at < r.away {
				failed++
			}
		}
		// Ten minutes at 15 to 45 s a try, and the few tries before that.
		if failed < 13 || failed > 60 {
			t.Errorf("%d tries while the backend was away", failed)
		}
	})
}

// TestBacklogAndNewsTakeTurns: while the backlog of an earlier process drains, oldest
// first, what is new is sent too.
func TestBacklogAndNewsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		one := exporter.Count{Traces: 1, Spans: 1}
		for i := range 6 {
			s.Accept(one)
			if err := s.Append(spool.Batch{Payload: ids()(nil, []*trace.Trace{numbered(i)}), Count: one}); err != nil {
				t.Fatal(err)
			}
		}
		r := &backend{start: time.Now()}
		b := batch.NewSpooled(exporter.Queue{BatchSpans: 1}, slow(spoolOptions(s, r)))
		synctest.Wait() // the first of the backlog is on its way
		if err := b.Export(t.Context(), []*trace.Trace{numbered(100), numbered(101), numbered(102)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 100, 1, 101, 2, 102, 3, 4, 5}, r.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		b.Shutdown(t.Context())
	})
}

// slow makes every try take a second.
func slow(c batch.SendOptions) batch.SendOptions {
	try := c.Try
	c.Try = func(ctx context.Context, b spool.Batch) batch.Verdict {
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock, not ours
		return try(ctx, b)
	}
	return c
}

// TestRetryInfoIsHonoured: the backend wants to be left alone for longer than the
// back-off is.
func TestRetryInfoIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		r := &backend{start: time.Now(), away: 6 * time.Minute, after: 100 * time.Second}
		b := batch.NewSpooled(exporter.Queue{BatchSpans: 1}, spoolOptions(s, r))
		if err := b.Export(t.Context(), []*trace.Trace{numbered(0)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		r.mustWait(t, 4, 100*time.Second)
		b.Shutdown(t.Context())
	})
}

// TestSlowBackendSpills: what comes faster than it goes is spilled when the queue is
// half full, and nothing is lost.
func TestSlowBackendSpills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir())
		defer s.Close()
		r := &backend{start: time.Now()}
		b := batch.NewSpooled(exporter.Queue{Spans: 16, BatchSpans: 2, Delay: time.Millisecond}, slow(spoolOptions(s, r)))
		spooled := false
		for i := range 200 {
			if err := b.Export(t.Context(), []*trace.Trace{numbered(i)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's clock, not ours
			synctest.Wait()
			spooled = spooled || b.Stats().Spooled.Traces > 10
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // the bubble's clock, not ours
		synctest.Wait()
		if got := b.Stats(); !spooled || got.Sent.Traces != 200 || got.Queued != (exporter.Count{}) {
			t.Errorf("spooled %v; %+v", spooled, got)
		}
		b.Shutdown(t.Context())
	})
}
