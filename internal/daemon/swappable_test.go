// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// fake is an exporter that keeps what it is given.
type fake struct {
	// onShutdown is called by Shutdown before it ends.
	onShutdown func(context.Context)

	mu    sync.Mutex
	got   []*trace.Trace
	late  int // traces that came after the end
	over  bool
	stats exporter.Stats
}

func (f *fake) Export(_ context.Context, traces []*trace.Trace) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		f.late += len(traces)
	}
	f.got = append(f.got, traces...)
	f.stats.Sent = f.stats.Sent.Plus(exporter.CountOf(traces...))
	return nil
}

func (f *fake) Shutdown(ctx context.Context) error {
	if f.onShutdown != nil {
		f.onShutdown(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	return nil
}

func (f *fake) Stats() exporter.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats.Plus(exporter.Stats{})
}

// pings returns traces of two spans each.
func pings(n int) []*trace.Trace {
	traces := make([]*trace.Trace, n)
	for i := range traces {
		traces[i] = &trace.Trace{Spans: make([]trace.Span, 2)}
	}
	return traces
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Each trace goes to exactly one exporter that is not over, however often they are
// exchanged, and the account has all of them at all times.
func TestExchangeLosesNothing(t *testing.T) {
	o := &swappable{log: quiet()}
	fakes := []*fake{{}}
	o.swap(fakes[0])
	const batches = 2000
	var sending sync.WaitGroup
	sending.Go(func() {
		for range batches {
			if err := o.Export(t.Context(), pings(1)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		next := &fake{}
		fakes = append(fakes, next)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		before := o.Stats().Sent.Traces
		o.retireLater(ctx, stop, o.swap(next))
		if after := o.Stats().Sent.Traces; after < before {
			t.Errorf("the account fell from %d to %d", before, after)
		}
	}
	sending.Wait()
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	got := 0
	for i, f := range fakes {
		got += len(f.got)
		if f.late > 0 || !f.over {
			t.Errorf("exporter %d got %d traces after its end, over: %t", i, f.late, f.over)
		}
	}
	want := exporter.Count{Traces: batches, Spans: 2 * batches}
	if sent := o.Stats().Sent; got != batches || sent != want {
		t.Errorf("%d traces came, account %v, want %v", got, sent, want)
	}
}

// What was held is handed on; what was too much is counted and logged, and so is all of it if
// there is no exporter after all.
func TestResume(t *testing.T) {
	for _, test := range []struct {
		name    string
		limit   int64
		arrived int
		lost    int64
		none    bool
	}{
		{"held", 100, 5, 0, false},
		{"too much", 6, 3, 2, false},
		{"no exporter", 100, 0, 5, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := &logBuffer{}
			o, next, held := &swappable{log: newLogger(log)}, &fake{}, &handOverBuffer{limit: test.limit}
			o.swap(held)
			_ = o.Export(t.Context(), pings(5)) // counted
			if test.none {
				o.resume(held, nil)
			} else {
				o.resume(held, next)
			}
			if len(next.got) != test.arrived {
				t.Errorf("%d traces came, want %d", len(next.got), test.arrived)
			}
			want := exporter.Stats{
				Sent: exporter.CountOf(next.got...),
				Lost: map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: {Traces: test.lost, Spans: 2 * test.lost}},
			}
			if diff := cmp.Diff(want, o.Stats()); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			if got := strings.Count(log.String(), "were lost while the exporter was replaced"); got != min(int(test.lost), 1) {
				t.Errorf("%d traces lost, logged: %s", test.lost, log)
			}
		})
	}
}

// What an exporter could not send and no spool has is lost, and counted.
func TestWhatIsLeftIsLost(t *testing.T) {
	o := &swappable{log: quiet()}
	o.swap(&fake{stats: exporter.Stats{
		Queued: exporter.Count{Traces: 7, Spans: 14}, Spooled: exporter.Count{Traces: 4, Spans: 8}, SpoolBytes: 100,
	}})
	if err := o.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	want := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseShutdown: {Traces: 3, Spans: 6}}}
	if diff := cmp.Diff(want, o.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The end is bounded, whatever an exporter does.
func TestEndIsBounded(t *testing.T) {
	s := newSinks(otlpOptions(), quiet())
	wait := func(ctx context.Context) { <-ctx.Done() }
	s.endpoint.swap(&fake{onShutdown: wait})
	s.file.swap(&fake{onShutdown: wait})
	s.endBy(time.Now().Add(50 * time.Millisecond))
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("does not end")
	}
}

// What a reload has left behind is given up with the rest when the end is due, however
// long it was granted then.
func TestEndIsBoundedForWhatWasLeft(t *testing.T) {
	o := &swappable{log: quiet()}
	o.swap(&fake{onShutdown: func(ctx context.Context) { <-ctx.Done() }})
	granted, stop := context.WithTimeout(context.Background(), time.Hour)
	o.retireLater(granted, stop, o.swap(nil))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- o.Shutdown(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		stop()
		t.Fatal("does not end")
	}
}
