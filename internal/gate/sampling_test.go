// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/gate"
)

// A limit is a limit of what sampling lets through: a gate is closed only if that is too much, and then
// at once by as much as needed.
func TestSamplingLeavesLessToLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := math.Exp(rapid.Float64Range(math.Log(1e-3), 0).Draw(t, "share"))
		limit := rapid.Float64Range(50, 5000).Draw(t, "pings a second") * 20
		h := newHost(gate.Options{MaxRate: limit / 20})
		h.sampling = gate.Threshold((1 - share) * (1 << 32))
		share = h.sampling.Share()
		const red, blue = 1, 2
		h.rates[blue] = 0.2 * limit / share
		h.rates[red] = rapid.Float64Range(0, 20).Draw(t, "flood") * limit / share
		h.run(3 * time.Second)
		level := h.levels[red]
		got := h.run(10 * time.Second)
		if h.levels[blue] > 0 {
			t.Errorf("who sends little is gated at level %d", h.levels[blue])
		}
		sampled := h.rates[red] * share
		switch {
		case sampled < 0.7*limit && level > 0:
			t.Errorf("%.0f events a second of %.0f are gated at level %d", sampled, limit, level)
		case level > 0 && level.Threshold() <= h.sampling:
			t.Errorf("level %d does nothing: a share of %v is sampled", level, share)
		case got[red] > limit || got[red] < 0.35*min(sampled, 0.8*limit):
			t.Errorf("%.0f events a second of %.0f sampled, at level %d; the limit is %.0f", got[red], sampled, level, limit)
		}
	})
}

// A share of nothing leaves nothing to do.
func TestNothingIsSampled(t *testing.T) {
	h := newHost(gate.Options{MaxRate: 1})
	h.sampling = math.MaxUint32
	h.rates[1] = 1e5
	h.run(10 * time.Second)
	if h.levels[1] > 0 {
		t.Errorf("level %d", h.levels[1])
	}
}
