// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"math"
	"math/bits"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// A histogram's buckets: octaves, each cut into as many equal parts, so that the middle of a
// bucket is within 1.6 % of all that is in it. What is longer than an hour is in the last.
const (
	octaveBits = 5
	octaveSize = 1 << octaveBits
	maxOctave  = 38
)

// histogram counts durations. It keeps only the octaves from the shortest to the longest
// duration there was: about 1 KiB for one place in a network, and never more than 5 KiB. The
// zero value is empty.
type histogram struct {
	count uint64
	max   int64
	// first is the octave that counts begins with.
	first  uint8
	counts []uint32
}

// observe adds a duration in nanoseconds. Clocks of two CPUs may differ, so one may be
// negative; it counts as 0.
func (h *histogram) observe(ns int64) {
	ns = max(ns, 0)
	h.count++
	h.max = max(h.max, ns)
	octave, part := bucketOf(ns)
	at := h.at(octave) + part
	if h.counts[at] == math.MaxUint32 {
		h.halve()
	}
	h.counts[at]++
}

// bucketOf returns the octave and the part of it that a duration belongs to.
func bucketOf(ns int64) (octave, part int) {
	if ns < octaveSize {
		return 0, int(ns)
	}
	e := bits.Len64(uint64(ns)) - 1
	if octave = e - octaveBits + 1; octave > maxOctave {
		return maxOctave, octaveSize - 1
	}
	return octave, int(ns>>(e-octaveBits)) & (octaveSize - 1)
}

// middle returns the duration in the middle of a bucket.
func middle(octave, part int) int64 {
	if octave == 0 {
		return int64(part)
	}
	width := int64(1) << (octave - 1)
	return (octaveSize+int64(part))*width + width/2
}

// at returns where the octave begins in counts, which it extends if need be.
func (h *histogram) at(octave int) int {
	have := len(h.counts) / octaveSize
	first := int(h.first)
	switch {
	case have == 0:
		h.first = uint8(octave)
		h.counts = make([]uint32, octaveSize)
		return 0
	case octave < first:
		h.counts = append(make([]uint32, (first-octave)*octaveSize, (first-octave+have)*octaveSize), h.counts...)
		h.first = uint8(octave)
		return 0
	case octave >= first+have:
		h.counts = append(make([]uint32, 0, (octave-first+1)*octaveSize), h.counts...)[:(octave-first+1)*octaveSize]
	}
	return (octave - first) * octaveSize
}

// halve makes room in a full bucket. The percentiles stay as they are.
func (h *histogram) halve() {
	for i := range h.counts {
		h.counts[i] /= 2
	}
}

// add adds what another one has counted.
func (h *histogram) add(o *histogram) {
	h.count += o.count
	h.max = max(h.max, o.max)
	for i := 0; i < len(o.counts); i += octaveSize {
		at := h.at(int(o.first) + i/octaveSize)
		for j, n := range o.counts[i : i+octaveSize] {
			sum := uint64(h.counts[at+j]) + uint64(n)
			h.counts[at+j] = uint32(min(sum, math.MaxUint32))
		}
	}
}

// times returns the figures that are shown.
func (h *histogram) times() api.Times {
	var sum uint64
	for _, n := range h.counts {
		sum += uint64(n)
	}
	return api.Times{Count: h.count, P50: h.percentile(sum, 50), P99: h.percentile(sum, 99), Max: h.max}
}

// percentile returns the duration that so many percent of all, whose number is sum, do not
// exceed.
func (h *histogram) percentile(sum, percent uint64) int64 {
	rank := sum/100*percent + (sum%100*percent+99)/100
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank && n > 0 {
			return min(middle(int(h.first)+i/octaveSize, i%octaveSize), h.max)
		}
	}
	return 0
}
