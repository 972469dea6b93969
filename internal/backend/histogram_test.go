// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Percentiles are within 2 % of the exact ones, whatever the durations, and adding histograms
// is the same as observing all in one.
func TestPercentiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Range(0, 1<<rapid.IntRange(0, 41).Draw(t, "bits")).Draw(t, "ns")
		}), 1, 300).Draw(t, "durations")
		var parts [3]histogram
		for i, ns := range list {
			parts[i%len(parts)].observe(ns)
		}
		sum := &parts[0]
		sum.add(&parts[1])
		sum.add(&parts[2])
		slices.Sort(list)
		got := sum.times()
		if got.Count != uint64(len(list)) || got.Max != list[len(list)-1] {
			t.Errorf("count %d, max %d", got.Count, got.Max)
		}
		for percent, p := range map[int]int64{50: got.P50, 99: got.P99} {
			exact := list[(len(list)*percent+99)/100-1]
			if diff := math.Abs(float64(p - exact)); diff > 0.02*float64(exact) {
				t.Errorf("p%d is %d, exactly %d", percent, p, exact)
			}
		}
		if len(sum.counts) > (maxOctave+1)*octaveSize {
			t.Errorf("%d buckets", len(sum.counts))
		}
	})
}

// What is out of the range is in the outermost buckets.
func TestExtremeDurations(t *testing.T) {
	var h histogram
	h.observe(math.MinInt64)
	h.observe(math.MaxInt64)
	if got := h.times(); got.Count != 2 || got.P50 != 0 || got.Max != math.MaxInt64 || got.P99 < 1<<42 {
		t.Errorf("%+v", got)
	}
	if got := (&histogram{}).times(); got.P50 != 0 || got.P99 != 0 || got.Count != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

// A bucket that is full does not begin at zero again.
func TestFullBucket(t *testing.T) {
	var h histogram
	for range 10 {
		h.observe(10)
	}
	h.observe(1000)
	h.counts[10] = math.MaxUint32
	h.observe(10)
	if got := h.times(); got.Count != 12 || got.P50 != 10 || got.P99 != 10 {
		t.Errorf("%+v", got)
	}
	if h.counts[10] != math.MaxUint32/2+1 {
		t.Errorf("%d", h.counts[10])
	}
}

// A ring is the end of a list.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring[int]
		var model []int
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(model) > 0 && rapid.IntRange(0, 5).Draw(t, "drop") == 0 {
				if got := r.drop(); got != model[0] {
					t.Fatalf("dropped %d, want %d", got, model[0])
				}
				model = model[1:]
				continue
			}
			limit := rapid.IntRange(1, 20).Draw(t, "limit")
			r.push(i, limit)
			model = append(model, i)
			model = model[max(0, len(model)-limit):]
			n := rapid.IntRange(0, 30).Draw(t, "n")
			if got := r.last(n); !slices.Equal(got, model[max(0, len(model)-n):]) {
				t.Fatalf("last %d are %v of %v", n, got, model)
			}
		}
	})
}
