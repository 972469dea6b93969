// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// histogram counts as a [prometheus.Histogram] with classic and native buckets does, and shows the
// same. That one may be used by several goroutines at a time, which took most of the time of a
// measurement; here whoever measures holds a mutex anyway.
type histogram struct {
	// exemplars has observed what is an exemplar, and nothing else. Labels and exemplars are
	// shown as it has them.
	exemplars prometheus.Histogram
	// mu is held by whoever observes.
	mu *sync.Mutex

	count uint64
	sum   float64
	// classic has a count for each classic bucket, the last one of which has no bound.
	classic []uint64
	// schema says how wide native buckets are, as it does in Prometheus: one less is twice as
	// wide.
	schema int
	// zero counts what took no time, and the others are about the rest, by the sign.
	zero               uint64
	positive, negative nativeBuckets
}

// finest is the schema of buckets no wider than NativeBucketFactor.
const finest = 3

// coarsest is the one at which client_golang gives up making buckets wider.
const coarsest = -4

// octave has the bounds of native buckets of the finest schema in [0.5, 1), as client_golang has
// them.
var octave = [1 << finest]float64{
	0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
	0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
}

func newHistogram(exemplars prometheus.Histogram, mu *sync.Mutex, buckets int) *histogram {
	return &histogram{exemplars: exemplars, mu: mu, schema: finest, classic: make([]uint64, buckets)}
}

// observe counts v, which is in that classic bucket. h.mu is held.
func (h *histogram) observe(v float64, bucket int) {
	h.classic[bucket]++
	h.count++
	h.sum += v
	switch {
	case v > 0:
		h.positive.add(nativeKey(v, h.schema), 1)
	case v < 0:
		h.negative.add(nativeKey(-v, h.schema), 1)
	default:
		h.zero++
	}
	if h.positive.used+h.negative.used > NativeMaxBuckets && h.schema > coarsest {
		h.schema--
		h.positive.widen()
		h.negative.widen()
	}
}

// observeExemplar is observe for what is an exemplar, too.
func (h *histogram) observeExemplar(v float64, bucket int, labels prometheus.Labels) {
	h.observe(v, bucket)
	h.exemplars.(prometheus.ExemplarObserver).ObserveWithExemplar(v, labels)
}

// nativeKey returns the number of v's native bucket: that of v up to 1 is 0.
func nativeKey(v float64, schema int) int {
	frac, exp := math.Frexp(v)
	below := 0 // how many bounds are
	for step := len(octave) / 2; step > 0; step /= 2 {
		if octave[below+step] < frac {
			below += step
		}
	}
	if octave[below] < frac {
		below++
	}
	key := (exp-1)*len(octave) + below
	return -(-key >> (finest - schema)) // rounded up
}

// Desc implements [prometheus.Metric].
func (h *histogram) Desc() *prometheus.Desc { return h.exemplars.Desc() }

// Write implements [prometheus.Metric].
func (h *histogram) Write(out *dto.Metric) error {
	if err := h.exemplars.Write(out); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	to, below := out.Histogram, uint64(0)
	for i, b := range to.Bucket {
		below += h.classic[i]
		*b.CumulativeCount = below
	}
	*to.SampleCount, *to.SampleSum = h.count, h.sum
	*to.Schema, *to.ZeroCount = int32(h.schema), h.zero
	to.PositiveSpan, to.PositiveDelta = h.positive.encode()
	to.NegativeSpan, to.NegativeDelta = h.negative.encode()
	return nil
}

// nativeBuckets are counts by the numbers of native buckets.
type nativeBuckets struct {
	// first is the number of the first count.
	first  int
	counts []uint64
	// used is how many are not 0.
	used int
}

func (n *nativeBuckets) add(key int, count uint64) {
	i := key - n.first
	if uint(i) >= uint(len(n.counts)) {
		n.extend(key)
		i = key - n.first
	}
	if n.counts[i] == 0 {
		n.used++
	}
	n.counts[i] += count
}

// extend makes room for a key, and some more on both sides.
func (n *nativeBuckets) extend(key int) {
	const more = len(octave)
	if n.counts == nil {
		n.first = key
	}
	first, end := min(n.first, key-more), max(n.first+len(n.counts), key+more)
	counts := make([]uint64, end-first)
	copy(counts[n.first-first:], n.counts)
	n.first, n.counts = first, counts
}

// widen makes of two buckets one.
func (n *nativeBuckets) widen() {
	var wide nativeBuckets
	for i, count := range n.counts {
		if count > 0 {
			wide.add(-(-(n.first + i) >> 1), count) // rounded up
		}
	}
	*n = wide
}

// encode returns the buckets as Prometheus has them: runs of buckets, and by how much each count
// is more than the one before. A gap of one bucket or two is part of a run.
func (n *nativeBuckets) encode() (runs []*dto.BucketSpan, deltas []int64) {
	next, last := 0, int64(0)
	add := func(count uint64) {
		*runs[len(runs)-1].Length++
		deltas = append(deltas, int64(count)-last)
		last = int64(count)
	}
	for i, count := range n.counts {
		if count == 0 {
			continue
		}
		key := n.first + i
		if gap := key - next; runs == nil || gap > 2 {
			runs = append(runs, &dto.BucketSpan{Offset: new(int32(gap)), Length: new(uint32(0))})
		} else {
			for range gap {
				add(0)
			}
		}
		add(count)
		next = key + 1
	}
	return runs, deltas
}
