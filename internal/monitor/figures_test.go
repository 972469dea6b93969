// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Percentiles are within 3.2 % of the exact ones, the greatest is exact, and what is older than
// the window does not count.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 40), rapid.Int64Range(0, 1_000_000), rapid.Int64Range(0, 1<<39)), 1, 200).Draw(t, "values")
		now := time.Unix(1_767_225_600, 0).Add(time.Duration(rapid.Int64Range(0, 100).Draw(t, "seconds")) * time.Second)
		var w window
		w.add(now.Add(-windowSeconds*time.Second), 1<<39) // too old, and in the slot that is used again
		for _, v := range values {
			w.add(now.Add(-time.Duration(rapid.Int64Range(0, slotSeconds*(slots-1)-1).Draw(t, "age"))*time.Second), v)
		}
		w.add(now.Add(-windowSeconds*time.Second), 1<<39) // nor does it take away what came later
		f := w.figures(now)
		slices.Sort(values)
		exact := func(q float64) float64 { return float64(values[min(int(q*float64(len(values))), len(values)-1)]) }
		if f.n != uint64(len(values)) || f.max != values[len(values)-1] {
			t.Fatalf("%d values up to %d, want %d up to %d", f.n, f.max, len(values), values[len(values)-1])
		}
		for _, p := range []struct{ got, want float64 }{{float64(f.p50), exact(0.5)}, {float64(f.p99), exact(0.99)}} {
			if math.Abs(p.got-p.want) > 0.032*p.want+1 {
				t.Fatalf("%v, want %v", p.got, p.want)
			}
		}
		if later := w.figures(now.Add(2 * windowSeconds * time.Second)); later.n != 0 {
			t.Fatalf("%d values two minutes later", later.n)
		}
	})
}

func TestMeans(t *testing.T) {
	now := time.Unix(1_767_225_600, 0)
	var w window
	w.add(now, 10)
	w.add(now, 30)
	w.add(now.Add(-59*time.Second), 7)
	w.add(now.Add(-60*time.Second), 1000)
	if got := w.means(now, 4); !slices.Equal(got, []int64{7, -1, -1, 20}) {
		t.Error(got)
	}
}

// What is too long for the buckets is in the last, and nothing is out of range.
func TestExtremes(t *testing.T) {
	var h histogram
	for _, v := range []int64{math.MinInt64, -1, 0, 15, 16, 17, math.MaxInt64} {
		h.add(v)
	}
	if h.n != 7 || h.quantile(1) < 1<<39 {
		t.Errorf("%d values up to %d", h.n, h.quantile(1))
	}
	for b := range buckets {
		if bucketOf(middle(b)) != b {
			t.Fatalf("the middle of bucket %d is in %d", b, bucketOf(middle(b)))
		}
	}
}

// The memory of what came already is bounded, and forgets the oldest first.
func TestRecent(t *testing.T) {
	var r recent
	one := func(n int) id { return id{trace: trace.ID{0: byte(n), 1: byte(n >> 8)}} }
	for n := range 2 * remembered {
		if !r.add(one(n)) {
			t.Fatalf("%d is not new", n)
		}
	}
	if len(r.known) != remembered {
		t.Errorf("%d are remembered", len(r.known))
	}
	if r.add(one(2*remembered-1)) || r.add(one(remembered)) || !r.add(one(remembered-1)) {
		t.Error("not the last ones are remembered")
	}
}

func TestWords(t *testing.T) {
	l := look{}
	for ns, want := range map[int64]string{
		0: "0 ns", 999: "999 ns", 1_000: "1.00 µs", 9_999: "10.0 µs", 45_123: "45.1 µs", 999_499: "999 µs",
		1_234_000: "1.23 ms", 2_000_000_000: "2.00 s", 75_000_000_000: "75.0 s",
	} {
		if got := l.duration(ns); got != want {
			t.Errorf("%d: %q, want %q", ns, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := l.curve([]int64{-1, 10, 20, 15}); got != " ▁█▄" {
		t.Errorf("%q", got)
	}
	if got := l.curve([]int64{100, 101, -1}); got != "▄▄ " {
		t.Errorf("%q", got)
	}
	if got := l.middle("abcdefghij", 5); got != "ab…ij" {
		t.Errorf("%q", got)
	}
}
