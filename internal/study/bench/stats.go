// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"math"
	"slices"
)

// Figures sum up durations in nanoseconds.
type Figures struct {
	Count int `json:"count"`
	// Mean is the arithmetic mean.
	Mean float64 `json:"mean_ns"`
	// P50 and P99 are the smallest durations such that at least that share of all is
	// not longer (the nearest-rank definition).
	P50 int64 `json:"p50_ns"`
	P99 int64 `json:"p99_ns"`
	// StdDev is the sample standard deviation (n-1), 0 for a single duration.
	StdDev float64 `json:"stddev_ns"`
	Min    int64   `json:"min_ns"`
	Max    int64   `json:"max_ns"`
}

// Summarise returns the figures of the durations. Those of none are all 0.
func Summarise(ns []int64) Figures {
	if len(ns) == 0 {
		return Figures{}
	}
	sorted := slices.Sorted(slices.Values(ns))
	f := Figures{
		Count: len(sorted),
		Mean:  mean(sorted),
		P50:   quantile(sorted, 0.50),
		P99:   quantile(sorted, 0.99),
		Min:   sorted[0],
		Max:   sorted[len(sorted)-1],
	}
	if f.Count > 1 {
		var squares float64
		for _, v := range sorted {
			d := float64(v) - f.Mean
			squares += d * d
		}
		f.StdDev = math.Sqrt(squares / float64(f.Count-1))
	}
	return f
}

// mean sums integers, so that the order does not matter to the last bit.
func mean(ns []int64) float64 {
	if len(ns) == 0 {
		return 0
	}
	var sum int64
	for _, v := range ns {
		sum += v
	}
	return float64(sum) / float64(len(ns))
}

// quantile returns the nearest-rank quantile of sorted durations.
func quantile(sorted []int64, q float64) int64 {
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// slope returns the least-squares slope of y over x, and the intercept. All x alike
// give a slope of 0.
func slope(x, y []float64) (perUnit, atZero float64) {
	mx, my := average(x), average(y)
	var xx, xy float64
	for i := range x {
		xx += (x[i] - mx) * (x[i] - mx)
		xy += (x[i] - mx) * (y[i] - my)
	}
	if xx == 0 {
		return 0, my
	}
	perUnit = xy / xx
	return perUnit, my - perUnit*mx
}

func average(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	var sum float64
	for _, f := range v {
		sum += f
	}
	return sum / float64(len(v))
}
