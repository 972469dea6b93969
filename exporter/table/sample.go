// SPDX-License-Identifier: Apache-2.0

package table

import (
	"math"
	"math/rand/v2"
	"slices"
)

// sample keeps durations in nanoseconds: all up to a limit, beyond it a uniform
// random sample of that size (Vitter's algorithm R, ACM TOMS 11(1), 1985). The
// generator's seed is fixed, so that the same pings give the same table.
type sample struct {
	limit  int
	kept   []int64
	count  int64
	sum    int64
	random *rand.Rand
}

func newSample(limit int) sample {
	return sample{limit: limit, random: rand.New(rand.NewPCG(1, 2))}
}

func (s *sample) add(ns int64) {
	s.count++
	s.sum += ns
	if len(s.kept) < s.limit {
		s.kept = append(s.kept, ns)
		return
	}
	if i := s.random.Int64N(s.count); i < int64(s.limit) {
		s.kept[i] = ns
	}
}

// exact reports whether no duration was left out.
func (s *sample) exact() bool { return s.count == int64(len(s.kept)) }

// mean returns the arithmetic mean, rounded to the nanosecond.
func (s *sample) mean() int64 {
	if s.count == 0 {
		return 0
	}
	return int64(math.Round(float64(s.sum) / float64(s.count)))
}

// quantiles returns, for each q, the smallest kept duration such that at least the
// share q of them is not longer (the nearest-rank definition).
func (s *sample) quantiles(qs ...float64) []int64 {
	sorted := slices.Sorted(slices.Values(s.kept))
	out := make([]int64, len(qs))
	for i, q := range qs {
		if len(sorted) > 0 {
			rank := int(math.Ceil(q * float64(len(sorted))))
			out[i] = sorted[min(max(rank, 1), len(sorted))-1]
		}
	}
	return out
}
