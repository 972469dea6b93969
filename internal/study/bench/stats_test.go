// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

func TestSummarise(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(100 - i)
	}
	for name, test := range map[string]struct {
		ns   []int64
		want bench.Figures
	}{
		"none":    {nil, bench.Figures{}},
		"one":     {[]int64{7}, bench.Figures{Count: 1, Mean: 7, P50: 7, P99: 7, Min: 7, Max: 7}},
		"two":     {[]int64{4, 2}, bench.Figures{Count: 2, Mean: 3, P50: 2, P99: 4, StdDev: math.Sqrt2, Min: 2, Max: 4}},
		"hundred": {hundred, bench.Figures{Count: 100, Mean: 50.5, P50: 50, P99: 99, StdDev: math.Sqrt(100 * 101 / 12.0), Min: 1, Max: 100}},
	} {
		if diff := cmp.Diff(test.want, bench.Summarise(test.ns), cmpFloat()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// cmpFloat takes floats that differ in the last digits for equal.
func cmpFloat() cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) })
}

func durations() *rapid.Generator[[]int64] {
	return rapid.SliceOfN(rapid.Int64Range(0, 1e12), 1, 200)
}

func TestSummariseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := durations().Draw(t, "ns")
		f := bench.Summarise(ns)
		if f.Min > f.P50 || f.P50 > f.P99 || f.P99 > f.Max || f.Mean < float64(f.Min) || f.Mean > float64(f.Max) {
			t.Fatalf("out of order: %+v", f)
		}
		for _, q := range []struct {
			share float64
			value int64
		}{{0.50, f.P50}, {0.99, f.P99}} {
			notLonger, shorter := 0, 0
			for _, v := range ns {
				if v <= q.value {
					notLonger++
				}
				if v < q.value {
					shorter++
				}
			}
			if n := q.share * float64(len(ns)); float64(notLonger) < n || float64(shorter) >= n {
				t.Fatalf("%v is not the %v quantile of %v", q.value, q.share, ns)
			}
		}
		if diff := cmp.Diff(f, bench.Summarise(rapid.Permutation(ns).Draw(t, "order"))); diff != "" {
			t.Fatalf("the order matters: %s", diff)
		}
		slices.Sort(ns)
		shifted := make([]int64, len(ns))
		for i, v := range ns {
			shifted[i] = v + 1000
		}
		if g := bench.Summarise(shifted); g.P50 != f.P50+1000 || math.Abs(g.StdDev-f.StdDev) > 1e-3+1e-9*f.StdDev {
			t.Fatalf("a shift changes more than the place: %+v, %+v", f, g)
		}
	})
}

func TestSlope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		per, zero := rapid.Float64Range(-100, 100).Draw(t, "per"), rapid.Float64Range(-1e6, 1e6).Draw(t, "zero")
		x := []float64{0, 100, 1000, 10000}
		y := make([]float64, len(x))
		for i := range x {
			y[i] = zero + per*x[i]
		}
		gotPer, gotZero := bench.Slope(x, y)
		if math.Abs(gotPer-per) > 1e-6 || math.Abs(gotZero-zero) > 1e-3 {
			t.Fatalf("slope %v at %v, want %v at %v", gotPer, gotZero, per, zero)
		}
	})
	if per, zero := bench.Slope([]float64{5, 5}, []float64{1, 3}); per != 0 || zero != 2 {
		t.Errorf("all x alike: %v, %v", per, zero)
	}
}
