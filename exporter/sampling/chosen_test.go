// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// What was chosen before it was recorded says the higher of both thresholds, and what is always kept the
// one before.
func TestChosenBefore(t *testing.T) {
	tenth := threshold(0.1)
	for _, tt := range []struct {
		name   string
		ratio  float64
		before uint64
		state  string
	}{
		{"alike", 0.1, tenth, "ot=th:e666"},
		{"fewer before", 0.5, tenth, "ot=th:e666"},
		{"fewer now", 0.1, threshold(0.5), "ot=th:e666"},
		{"all now", 1, tenth, "ot=th:e666"},
		{"all before", 0.1, 0, "ot=th:e666"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, s := newExporter(t, Options{Ratio: tt.ratio, KeepSlowerThan: time.Hour})
			complete, dropped, local := tracetest.Complete(1), tracetest.Dropped(2), tracetest.Complete(3)
			local.Local, local.Random = true, 0xe666_0000_0000_0f
			for _, tr := range []*trace.Trace{complete, dropped, local} {
				tr.Threshold = tt.before
				binary.BigEndian.PutUint64(tr.ID[8:], 0xe7<<48)
			}
			local.ID = trace.ID{15: 1} // by which it would be left out
			export(t, e, complete, dropped, local)
			want := []string{tt.state, "ot=th:" + encode(tt.before), tt.state + ";rv:e666000000000f"}
			var got []string
			for _, tr := range s.traces {
				got = append(got, tr.State)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tracestates (-want +got):\n%s", diff)
			}
		})
	}
}

// What is kept of what was chosen before stands for all that there was, whichever threshold is higher.
func TestCountsOfWhatWasChosenBefore(t *testing.T) {
	const n = 20_000
	for _, tt := range []struct{ before, now float64 }{{0.05, 0.05}, {0.05, 0.3}, {0.3, 0.05}, {0.05, 1}, {1. / 8, 0.1}} {
		r := rand.New(rand.NewPCG(5, 6))
		e, s := newExporter(t, Options{Ratio: tt.now, Terse: tt.now == 1})
		complete, dropped := tracetest.Beyond(1), tracetest.Dropped(2)
		for range n {
			for _, of := range []*trace.Trace{complete, dropped} {
				tr := random(r, of)
				tr.Threshold = threshold(tt.before)
				if tr.Randomness() >= tr.Threshold {
					export(t, e, tr)
				}
			}
		}
		sums := map[trace.Outcome]float64{}
		for _, tr := range s.traces {
			sums[tr.Outcome] += adjustedCount(t, tr.State)
		}
		for outcome, ratio := range map[trace.Outcome]float64{trace.Complete: min(tt.before, tt.now), trace.Dropped: tt.before} {
			within := 5 * math.Sqrt(n*ratio*(1-ratio)) / ratio
			if off := math.Abs(sums[outcome] - n); off > within {
				t.Errorf("%v before, %v now: %v pings: %v, want %d within %.0f", tt.before, tt.now, outcome, sums[outcome], n, within)
			}
		}
	}
}

// A terse one says nothing of what stands for itself, and hands on what it was given.
func TestTerse(t *testing.T) {
	e, s := newExporter(t, Options{Ratio: 1, Terse: true})
	all, chosen := tracetest.Complete(1), tracetest.Complete(2)
	chosen.ID = trace.ID{9: 0xff}
	chosen.Threshold = 1 << 55
	export(t, e, all, chosen)
	if len(s.traces) != 2 || s.traces[0] != all || s.traces[1] == chosen || s.traces[1].State != "ot=th:8" || chosen.State != "" {
		t.Errorf("%d traces, tracestates %q and %q", len(s.traces), s.traces[0].State, s.traces[len(s.traces)-1].State)
	}
}

// An agent samples in the kernel by the threshold that the options have.
func TestThresholdOfOptions(t *testing.T) {
	for ratio, want := range map[float64]uint64{0: 1 << 56, 0.5: 1 << 55, 0.01: 0xfd70a << 36, 1: 0} {
		if got, err := (Options{Ratio: ratio}).Threshold(); err != nil || got != want {
			t.Errorf("%v: %#x, %v, want %#x", ratio, got, err, want)
		}
	}
	if _, err := (Options{Ratio: 2}).Threshold(); err == nil || !strings.Contains(err.Error(), "between 0 and 1") {
		t.Error(err)
	}
}
