// SPDX-License-Identifier: Apache-2.0

package monitor

import "math/bits"

// A histogram counts durations in buckets whose width is a sixteenth of where they begin: so
// a percentile is within 3.2 % of the exact one.
type histogram struct {
	n      uint64
	counts [buckets]uint32
}

const (
	// perOctave buckets lie between a power of two and the next.
	perOctave = 16
	// octaves reach to 2^40 ns, 18 minutes. What is longer is in the last bucket.
	octaves = 40
	buckets = perOctave * octaves
)

// add counts a duration in nanoseconds.
func (h *histogram) add(ns int64) {
	h.n++
	h.counts[bucketOf(ns)]++
}

// bucketOf returns the bucket of a duration. The first 16 are exact.
func bucketOf(ns int64) int {
	v := uint64(max(ns, 0))
	if v < perOctave {
		return int(v)
	}
	shift := bits.Len64(v) - 5 // v>>shift is from 16 to 31
	return min(shift*perOctave+int(v>>shift), buckets-1)
}

// middle returns the middle of a bucket, in nanoseconds.
func middle(bucket int) int64 {
	if bucket < perOctave {
		return int64(bucket)
	}
	shift := bucket/perOctave - 1
	low := int64(perOctave+bucket%perOctave) << shift
	return low + int64(1)<<shift/2
}

// merge adds what is in other.
func (h *histogram) merge(other *histogram) {
	h.n += other.n
	for i, n := range other.counts {
		h.counts[i] += n
	}
}

// quantile returns the duration that the share q of all do not exceed, in nanoseconds, or 0 if
// there are none.
func (h *histogram) quantile(q float64) int64 {
	rank := uint64(q * float64(h.n))
	if rank >= h.n && h.n > 0 {
		rank = h.n - 1
	}
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return middle(i)
		}
	}
	return 0
}
