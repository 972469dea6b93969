// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"math"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/gate"
)

// thresholdShift: a gate's threshold is the highest 32 of 56 bits.
const thresholdShift = 24

// ofGates returns the threshold of gates for one of 56 bits. It is never higher, so that it leaves
// nothing out that the other one does not.
func ofGates(threshold uint64) gate.Threshold {
	switch high := threshold >> thresholdShift; {
	case high > math.MaxUint32:
		return bpf.GateShut
	case high == bpf.GateShut:
		return bpf.GateShut - 1
	default:
		return gate.Threshold(high)
	}
}

// SetSampling has only those pings traced from now on, before or while the agent runs, whose randomness
// is no less than a threshold: see [Options.Threshold]. It may be called by any goroutine. Pings that
// are on their way are traced if they pass this threshold and the one before, and say so.
func (a *Agent) SetSampling(threshold uint64) error { return a.gate.sample(ofGates(threshold)) }

// begin sets the threshold of all gates while nothing is recorded.
func (g *gatekeeper) begin(threshold gate.Threshold) error {
	g.sampling.Store(uint32(threshold))
	return g.tracer.SetThreshold(uint32(threshold))
}

// sample changes the threshold of all gates.
func (g *gatekeeper) sample(to gate.Threshold) error {
	g.change.Lock()
	defer g.change.Unlock()
	from := gate.Threshold(g.sampling.Load())
	if from == to {
		return nil
	}
	g.history.Rebase(from, to, gate.Forever)
	g.sampling.Store(uint32(to))
	if err := g.tracer.SetThreshold(uint32(to)); err != nil {
		return fmt.Errorf("change the sampling: %w", err)
	}
	now, err := g.now()
	if err != nil {
		return err
	}
	g.history.Rebase(from, to, now+straggle)
	return nil
}
