// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"
)

// measured draws durations that are like each other, or of all sizes and signs, of which so many
// make buckets wider, several times.
func measured(t *rapid.T) []int64 {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	negative, widest := rapid.Bool().Draw(t, "negative"), rapid.IntRange(1, 64).Draw(t, "widest")
	list := rapid.SliceOfN(rapid.SampledFrom([]int64{0, 1, 500, 1000, 500_000_000, 1_000_000_000, math.MaxInt64, math.MinInt64}), 0, 3).Draw(t, "chosen")
	for range rapid.IntRange(0, 1000).Draw(t, "durations") {
		ns := random.Int64() >> (63 - random.IntN(widest))
		if negative && random.IntN(2) == 0 {
			ns = -ns
		}
		list = append(list, ns)
	}
	return list
}

// What is shown is what client_golang's own histogram shows, whatever is measured and whenever it
// is read.
func TestHistogramIsThatOfPrometheus(t *testing.T) {
	widened := false
	rapid.Check(t, func(t *rapid.T) {
		o := Options{Buckets: rapid.SampledFrom([][]float64{DefaultBuckets(), {1e-3}, {0.5e-6, 0.25, 4}}).Draw(t, "buckets")}.withDefaults()
		var mu sync.Mutex
		f := newHistograms(o, defPing, &mu)
		labels := []string{"guest", "ipv4", "blue"}
		got := f.vec.with(labels...)
		reference := f.vec.(histogramVec).WithLabelValues("guest", "ipv4", "red").(prometheus.Histogram)
		for range rapid.IntRange(1, 3).Draw(t, "reads") {
			for _, ns := range measured(t) {
				v := seconds(ns)
				mu.Lock()
				if ns%64 == 3 {
					got.observeExemplar(v, bucket(o.Buckets, v), prometheus.Labels{"a": "b"})
					reference.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"a": "b"})
				} else {
					got.observe(v, bucket(o.Buckets, v))
					reference.Observe(v)
				}
				mu.Unlock()
			}
			if diff := cmp.Diff(written(t, reference), written(t, got), protocmp.Transform()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			widened = widened || got.schema < finest-1
		}
	})
	if !widened {
		t.Error("no histogram had wider buckets: is there a limit?")
	}
}

// written returns what a histogram shows, without its labels and the times of exemplars.
func written(t *rapid.T, m prometheus.Metric) *dto.Histogram {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	h := out.Histogram
	h.CreatedTimestamp = nil
	for _, b := range h.Bucket {
		if b.Exemplar != nil {
			b.Exemplar.Timestamp = nil
		}
	}
	for _, e := range h.Exemplars {
		e.Timestamp = nil
	}
	return h
}
