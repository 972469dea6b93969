// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// The thresholds of four digits that OpenTelemetry's specification lists for one in N.
func TestThresholdsOfTheSpecification(t *testing.T) {
	for n, want := range map[float64]string{
		1: "0", 2: "8", 3: "aaab", 4: "c", 5: "cccd", 8: "e", 10: "e666", 16: "f", 100: "fd70a",
		1000: "ffbe77", 10_000: "fff9724", 100_000: "ffff583a", 1_000_000: "ffffef39",
	} {
		if got := encode(threshold(1 / n)); got != want {
			t.Errorf("one in %v: %s, want %s", n, got, want)
		}
	}
}

func TestThresholdAtTheEnds(t *testing.T) {
	for ratio, want := range map[float64]uint64{
		0:                      maxThreshold,
		math.Ldexp(1, -56):     maxThreshold - 1,
		math.Ldexp(3, -56):     maxThreshold - 3,
		1 - math.Ldexp(1, -53): 8, // the largest number below 1
		1:                      0,
		// 65544.125 of 2^56 are first 65544 and then, as half of 16 is left out, 65536.
		math.Ldexp(65544.125, -56): maxThreshold - 65536,
	} {
		if got := threshold(ratio); got != want {
			t.Errorf("ratio %v: %#x, want %#x", ratio, got, want)
		}
	}
}

func TestThresholdIsAsPreciseAsItSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ratio := math.Ldexp(rapid.Float64Range(0.5, 1).Draw(r, "mantissa"), -rapid.IntRange(0, 40).Draw(r, "exponent"))
		th := threshold(ratio)
		got := math.Ldexp(float64(maxThreshold-th), -randomBits)
		// A ratio is at least 1/16 of the place after the digits that are f, and it is off
		// by half a unit of the fourth place; and before that, as with the Collector's
		// samplers, by half a unit of the last of 56 bits.
		most := 0.5*16/(1<<16) + math.Ldexp(0.5, -randomBits)/ratio
		if off := math.Abs(got-ratio) / ratio; off > most {
			r.Errorf("ratio %v became %v: %v off, more than %v", ratio, got, off, most)
		}
		back, err := strconv.ParseUint((encode(th) + strings.Repeat("0", 14))[:14], 16, 64)
		if err != nil || back != th {
			r.Errorf("%s is %#x, want %#x: %v", encode(th), back, th, err)
		}
	})
}

// What a ratio near 1 leaves out is as precise as what one near 0 keeps, as with the
// Collector's samplers: 0.9999 leaves out one in 10,000.
func TestSmallShareLeftOut(t *testing.T) {
	if got := encode(threshold(0.9999)); got != "00068dc" {
		t.Errorf("0.9999: %s, want 00068dc", got)
	}
	rapid.Check(t, func(r *rapid.T) {
		left := math.Ldexp(rapid.Float64Range(0.5, 1).Draw(r, "mantissa"), -rapid.IntRange(0, 36).Draw(r, "exponent"))
		left = 1 - (1 - left) // as exact as the ratio can be
		got := math.Ldexp(float64(threshold(1-left)), -randomBits)
		if off := math.Abs(got-left) / left; off > 0.5*16/(1<<16) {
			r.Errorf("%v left out became %v: %v off", left, got, off)
		}
	})
}

func TestLargerRatioKeepsMore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ratio := rapid.Float64Range(0, 1)
		a, b := ratio.Draw(r, "a"), ratio.Draw(r, "b")
		if rapid.Bool().Draw(r, "near 1") {
			a, b = 1-a/1e4, 1-b/1e4
		}
		low, high := newProbability(min(a, b)), newProbability(max(a, b))
		if low.threshold < high.threshold {
			r.Errorf("%v has a threshold below that of %v", min(a, b), max(a, b))
		}
		id := trace.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "id"))
		if low.keeps(&trace.Trace{ID: id}) && !high.keeps(&trace.Trace{ID: id}) {
			r.Errorf("%s is kept with %v and not with %v", id, min(a, b), max(a, b))
		}
	})
}

func TestOnlyTheLastSevenBytesDecide(t *testing.T) {
	half := newProbability(0.5)
	for _, test := range []struct {
		id   trace.ID
		want bool
	}{
		{trace.ID{0: 0xff, 8: 0xff, 9: 0x7f, 15: 0xff}, false},
		{trace.ID{9: 0x80}, true},
		{trace.ID{}, false},
	} {
		if got := half.keeps(&trace.Trace{ID: test.id}); got != test.want {
			t.Errorf("%s: %t, want %t", test.id, got, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, o := range []Options{
		{Ratio: -0.1}, {Ratio: 1.1}, {Ratio: math.NaN()}, {Ratio: 1e-300}, {KeepSlowerThan: -time.Second},
	} {
		if _, err := New(o, nil); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	for _, o := range []Options{{}, {Ratio: 1}, {Ratio: 1e-6, KeepSlowerThan: time.Second}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
