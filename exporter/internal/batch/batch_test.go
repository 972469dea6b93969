// SPDX-License-Identifier: Apache-2.0

package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
)

// of makes a trace of n spans.
func of(n int) *trace.Trace { return &trace.Trace{Spans: make([]trace.Span, n)} }

// recorder is a sender that notes the sizes of batches and when they came.
type recorder struct {
	mu    sync.Mutex
	start time.Time
	got   []sent
	// hold, if not nil, keeps every batch back until it is closed or ctx is done.
	hold chan struct{}
}

type sent struct {
	Traces, Spans int
	After         time.Duration
}

func (r *recorder) send(ctx context.Context, traces []*trace.Trace) batch.Result {
	c := exporter.CountOf(traces...)
	r.mu.Lock()
	r.got = append(r.got, sent{int(c.Traces), int(c.Spans), time.Since(r.start)})
	r.mu.Unlock()
	if r.hold != nil {
		select {
		case <-r.hold:
		case <-ctx.Done():
			return batch.Result{Lost: c, Cause: "canceled"}
		}
	}
	return batch.Result{}
}

func TestBatchesAreCutBySizeAndByTime(t *testing.T) {
	for _, tt := range []struct {
		name   string
		traces []int
		want   []sent
	}{
		{"by time", []int{3, 4}, []sent{{2, 7, time.Second}}},
		{"by size", []int{5, 5}, []sent{{2, 10, 0}}},
		{"whole traces only", []int{9, 9}, []sent{{2, 18, 0}}},
		{"the rest by time", []int{10, 1}, []sent{{1, 10, 0}, {1, 1, time.Second}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{start: time.Now()}
				b := batch.New(exporter.Queue{BatchSpans: 10, Delay: time.Second}, r.send)
				for _, n := range tt.traces {
					if err := b.Export(t.Context(), []*trace.Trace{of(n)}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock, not ours
				synctest.Wait()
				if diff := cmp.Diff(tt.want, r.got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				b.Shutdown(t.Context())
			})
		})
	}
}

func TestShutdownSendsWhatIsQueued(t *testing.T) {
	r := &recorder{}
	b := batch.New(exporter.Queue{BatchSpans: 10, Delay: time.Hour}, r.send)
	if err := b.Export(t.Context(), []*trace.Trace{of(3)}); err != nil {
		t.Fatal(err)
	}
	b.Shutdown(t.Context())
	want := exporter.Stats{Sent: exporter.Count{Traces: 1, Spans: 3}, Lost: map[exporter.Cause]exporter.Count{}}
	if diff := cmp.Diff(want, b.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShutdownGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{hold: make(chan struct{})}
		b := batch.New(exporter.Queue{BatchSpans: 2, Spans: 100}, r.send)
		for range 5 {
			if err := b.Export(t.Context(), []*trace.Trace{of(2)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		b.Shutdown(ctx)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want until the deadline and no longer", took)
		}
		err := b.Export(t.Context(), []*trace.Trace{of(1)})
		if !errors.Is(err, batch.ErrClosed) {
			t.Errorf("Export after Shutdown: %v", err)
		}
		want := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseShutdown: {Traces: 6, Spans: 11}}}
		if diff := cmp.Diff(want, b.Stats()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestShutdownDoesNotWaitForASenderThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		b := batch.New(exporter.Queue{BatchSpans: 1}, func(context.Context, []*trace.Trace) batch.Result {
			<-stuck
			return batch.Result{}
		})
		if err := b.Export(t.Context(), []*trace.Trace{of(2)}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		b.Shutdown(ctx)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if got := b.Stats().Queued; got != (exporter.Count{Traces: 1, Spans: 2}) {
			t.Errorf("%v queued", got)
		}
		close(stuck)
	})
}

func TestWaitForRoom(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
		// room is when there is room again.
		room time.Duration
		want error
		took time.Duration
	}{
		{"not at all", 0, time.Second, batch.ErrDropped, 0},
		{"not long enough", time.Second, 2 * time.Second, batch.ErrDropped, time.Second},
		{"long enough", 2 * time.Second, time.Second, nil, time.Second},
		{"forever", exporter.Forever, time.Hour, nil, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{hold: make(chan struct{})}
				b := batch.New(exporter.Queue{Spans: 10, BatchSpans: 1, Wait: tt.wait}, r.send)
				if err := b.Export(t.Context(), []*trace.Trace{of(10)}); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(tt.room, func() { close(r.hold) })
				start := time.Now()
				if err := b.Export(t.Context(), []*trace.Trace{of(5)}); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("waited %v, want %v", took, tt.took)
				}
				<-r.hold
				b.Shutdown(t.Context())
			})
		})
	}
}

// TestAccount: whatever the sender does, every span is in exactly one count.
func TestAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOf(rapid.IntRange(1, 40)).Draw(t, "sizes")
		lose := rapid.SliceOfN(rapid.Bool(), 1, 8).Draw(t, "lose")
		calls := 0
		b := batch.New(exporter.Queue{
			Spans:      rapid.IntRange(1, 100).Draw(t, "queue"),
			BatchSpans: rapid.IntRange(1, 50).Draw(t, "batch"),
			Delay:      time.Microsecond,
		}, func(_ context.Context, traces []*trace.Trace) batch.Result {
			calls++
			if lose[calls%len(lose)] {
				return batch.Result{Lost: exporter.CountOf(traces...), Cause: "unavailable"}
			}
			return batch.Result{}
		})
		var in exporter.Count
		for _, n := range sizes {
			in = in.Plus(exporter.Count{Traces: 1, Spans: int64(n)})
			err := b.Export(context.Background(), []*trace.Trace{of(n)})
			if err != nil && !errors.Is(err, batch.ErrDropped) {
				t.Fatal(err)
			}
			s := b.Stats()
			if got := s.Sent.Plus(s.Queued).Plus(s.TotalLost()); got != in {
				t.Fatalf("%v in, %v accounted for: %+v", in, got, s)
			}
		}
		b.Shutdown(context.Background())
		s := b.Stats()
		if got := s.Sent.Plus(s.TotalLost()); got != in || s.Queued != (exporter.Count{}) {
			t.Fatalf("%v in, after Shutdown %+v", in, s)
		}
	})
}
