// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/gate"
)

// In the background, pings that come at once are all traced, and of a flood that lasts what a
// part of a CPU is enough for. Who sends little is traced completely all the time, and some
// time after the flood everything is as before.
func TestBackground(t *testing.T) {
	several(t, 5, func(t *testing.T, between func(low, high float64) float64) {
		const part = 0.1
		h := newHost(gate.Options{Background: part})
		h.capacity = between(2e5, 2e6)
		h.room = 1e9
		const red, blue = 1, 2
		h.rates[blue] = between(1, 500)
		flood := h.capacity * between(0.5, 1)
		for range 2 {
			h.run(time.Second)
			h.rates[red] = flood
			h.run(time.Duration(1e6 / flood * float64(time.Second)))
			if h.levels[red] > 0 {
				t.Errorf("a million events that come at once are gated at level %d", h.levels[red])
			}
			h.run(20 * time.Second)
			got := h.run(10 * time.Second)
			if limit := max(10_000, part*h.capacity); got[red] > 1.1*limit || got[red] < 0.4*limit {
				t.Errorf("%.0f events a second of the flood got through, the limit is %.0f", got[red], limit)
			}
			if h.levels[blue] > 0 {
				t.Errorf("blue's level is %d", h.levels[blue])
			}
			delete(h.rates, red)
			h.run(time.Minute)
		}
	})
}
