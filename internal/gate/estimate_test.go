// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/gate"
)

// life is how long a ping may take, and the time before its events of which a change matters.
const life = uint64(time.Second)

// estimator adds up what the pings of a host stand for that are shown: see gatekeeper in internal/agent.
type estimator struct {
	*host
	history gate.History
	r       *rand.Rand
	open    []simulated
	// pings is how many there were, shown how many of them were, estimate how many those stand for,
	// and variance that of estimate.
	pings, shown       int
	estimate, variance float64
}

// simulated is a ping of two events.
type simulated struct {
	id       uint16
	random   uint32
	at       [2]uint64
	highest  gate.Threshold // of those events that were recorded
	recorded int
}

func (e *estimator) nanoseconds() uint64 { return uint64(e.now * 1e9) }

// inForce is the threshold of a gate now.
func (e *estimator) inForce(id uint16) gate.Threshold {
	return max(e.sampling, e.levels[id].Threshold())
}

// ping begins pings of an identifier that end within their life, or before the step is over.
func (e *estimator) ping(id uint16, n int) {
	begin := e.nanoseconds()
	for range n {
		p := simulated{id: id, random: e.r.Uint32()}
		p.at[0] = begin + e.r.Uint64N(uint64(tick))
		p.at[1] = p.at[0] + e.r.Uint64N(life)
		e.open = append(e.open, p)
		e.pings++
	}
}

// record has the gates, as they are now, decide about the events up to the end of a step.
func (e *estimator) record() {
	until := e.nanoseconds() + uint64(tick)
	for i := range e.open {
		p := &e.open[i]
		for _, at := range p.at {
			if th := e.inForce(p.id); at >= e.nanoseconds() && at < until && th.Passes(p.random) {
				p.recorded++
				p.highest = max(p.highest, th)
			}
		}
	}
}

// judge adds up the pings that are over.
func (e *estimator) judge() {
	kept := e.open[:0]
	for _, p := range e.open {
		if p.at[0]+2*life > e.nanoseconds() {
			kept = append(kept, p)
			continue
		}
		threshold := max(p.highest, tightest(&e.history, p.id, p.at[0]-2*life))
		if p.recorded == 0 || !threshold.Passes(p.random) {
			continue
		}
		if p.recorded < len(p.at) {
			panic("a ping is shown that was seen in part")
		}
		count := 1 / threshold.Share()
		e.shown++
		e.estimate += count
		e.variance += count * (count - 1) // its expectation is that of the estimate
	}
	e.open = kept
	e.history.Forget(e.nanoseconds() - 5*life)
}

// second lets a second pass with a threshold of all gates.
func (e *estimator) second(sampling gate.Threshold) {
	if sampling != e.sampling {
		e.history.Rebase(e.sampling, sampling, gate.Forever)
		e.history.Rebase(e.sampling, sampling, e.nanoseconds())
		e.sampling = sampling
	}
	for range time.Second / tick {
		for _, id := range slices.Sorted(maps.Keys(e.rates)) {
			e.ping(id, int(e.rates[id]*tick.Seconds()/perPing))
		}
		e.record()
		before := map[uint16]gate.Level{}
		for id, level := range e.levels {
			before[id] = level
		}
		e.host.step()
		for id, level := range e.levels {
			if level != before[id] {
				e.history.Set(id, level.Threshold(), e.nanoseconds())
			}
		}
		e.judge()
	}
}

const perPing = 20

// What the pings that are shown say that they stand for is as many as there were, while a flood comes and
// goes, the limit adapts the thresholds and the sampling is changed.
func TestWhatIsShownStandsForAll(t *testing.T) {
	pings, estimate, variance := 0, 0.0, 0.0
	for seed := range uint64(20) {
		e := &estimator{host: newHost(gate.Options{MaxRate: 400}), r: rand.New(rand.NewPCG(seed, 5))}
		e.now = 10
		flood := []float64{0, 4e4, 2e5, 2e5, 2e4, 0}
		shares := []float64{1, 1, 0.1, 0.1, 0.02, 0.5, 1}
		thresholds := map[gate.Threshold]bool{}
		for second := range 42 {
			e.rates[1], e.rates[2] = flood[second/6%len(flood)], 2000
			e.second(gate.Threshold((1 - shares[(second+int(seed))/5%len(shares)]) * (1 << 32)))
			thresholds[e.inForce(1)] = true
		}
		e.rates = map[uint16]float64{}
		for range 4 {
			e.second(e.sampling)
		}
		if len(thresholds) < 6 || e.shown > e.pings/10 {
			t.Errorf("seed %d proves little: %d of %d pings, %d thresholds", seed, e.shown, e.pings, len(thresholds))
		}
		pings, estimate, variance = pings+e.pings, estimate+e.estimate, variance+e.variance
	}
	// Five standard deviations; the generators are seeded.
	off, allowed := math.Abs(estimate-float64(pings)), 5*math.Sqrt(variance)
	if off > allowed || allowed > 0.03*float64(pings) {
		t.Errorf("what is shown of %d pings stands for %.0f, and may be %.0f off", pings, estimate, allowed)
	}
	t.Logf("what is shown of %d pings stands for %.0f, and may be %.0f off", pings, estimate, allowed)
}
