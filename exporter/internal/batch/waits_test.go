// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// Whatever is queued, taken, put back and sent, the oldest of what is there is known.
func TestWaitsAgainstEachTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waits
		var queue []*trace.Trace
		taken := [][]*trace.Trace{}
		since := map[*trace.Trace][2]time.Time{} // not before, not after
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				begin := time.Now()
				n := rapid.IntRange(1, 5).Draw(t, "traces")
				w.arrive(n)
				for range n {
					tr := &trace.Trace{}
					since[tr] = [2]time.Time{begin, time.Now()}
					queue = append(queue, tr)
				}
			},
			"take": func(t *rapid.T) {
				if len(queue) == 0 {
					t.Skip("nothing is queued")
				}
				n := rapid.IntRange(1, len(queue)).Draw(t, "traces")
				w.take(queue[:n:n])
				taken, queue = append(taken, queue[:n:n]), queue[n:]
			},
			"put back": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip("nothing is taken")
				}
				// Only what was taken last is in order.
				last := taken[len(taken)-1]
				w.putBack(last)
				taken, queue = taken[:len(taken)-1], append(last, queue...)
			},
			"sent": func(t *rapid.T) {
				if len(taken) == 0 {
					t.Skip("nothing is taken")
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "batch")
				w.done(taken[i])
				taken = append(taken[:i:i], taken[i+1:]...)
			},
			"": func(t *rapid.T) {
				var first, last time.Time
				for _, some := range append(taken[:len(taken):len(taken)], queue) {
					for _, tr := range some {
						if s := since[tr]; first.IsZero() || s[0].Before(first) {
							first, last = s[0], s[1]
						}
					}
				}
				if got := w.oldest(); got.IsZero() != first.IsZero() || got.Before(first) || got.After(last) {
					t.Fatalf("oldest since %v, want %v to %v", got, first, last)
				}
			},
		})
	})
}

// While a batch is being sent, and others wait, the age is that of the batch.
func TestOldestOfABatcher(t *testing.T) {
	sending, release := make(chan struct{}), make(chan struct{})
	b := New(exporter.Queue{BatchSpans: 1}, func(context.Context, []*trace.Trace) Result {
		sending <- struct{}{}
		<-release
		return Result{}
	})
	if got := b.Stats().Oldest; !got.IsZero() {
		t.Errorf("oldest since %v of nothing", got)
	}
	export := func() {
		if err := b.Export(t.Context(), []*trace.Trace{{Spans: make([]trace.Span, 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	export()
	first := b.Stats().Oldest
	<-sending
	export()
	if got := b.Stats().Oldest; first.IsZero() || !got.Equal(first) {
		t.Errorf("oldest since %v while the first is being sent, want %v", got, first)
	}
	release <- struct{}{}
	<-sending
	if got := b.Stats().Oldest; !got.After(first) {
		t.Errorf("oldest since %v when the first was sent, which was %v", got, first)
	}
	release <- struct{}{}
	if !b.Shutdown(t.Context()) {
		t.Error("not ended")
	}
	if got := b.Stats().Oldest; !got.IsZero() {
		t.Errorf("oldest since %v after all were sent", got)
	}
}
