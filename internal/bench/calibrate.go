// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Calibration is what tracing itself adds to the round trip of a mode, measured by the
// pinger, which needs no tracing: the same pings untraced, with programs attached that
// look and find nothing to record, and traced. The three take turns, batch by batch.
//
// An interval between two events contains the probe's work of each event after its
// first, so PerEvent times the number of those is what tracing adds to it. Nothing is
// subtracted from any figure: what the caches lose to the probes is no constant.
type Calibration struct {
	Mode string `json:"mode"`
	// Counts are of the traced pings.
	Counts Counts `json:"counts"`
	// Unanswered counts the others' lost replies.
	Unanswered int `json:"unanswered"`
	// EventsPerPing is how many hooks a ping passes, there and back.
	EventsPerPing float64 `json:"events_per_ping"`
	// Paced is at the protocol's interval, at which caches and CPU cool down between
	// pings; Flood sends one as soon as the last is back.
	Paced Arms `json:"paced"`
	Flood Arms `json:"flood"`
}

// CalibrationPasses is how often Calibrate sends the pings of the protocol: three kinds of
// batch, each paced and as a flood.
const CalibrationPasses = int(arms) * 2

// Arms are the round trips of the three kinds of batch.
type Arms struct {
	Untraced Figures `json:"untraced"`
	Filtered Figures `json:"filtered"`
	Traced   Figures `json:"traced"`
	// PerHook and PerEvent are the growth of the median in nanoseconds, divided by
	// the events: of a program that looks and finds nothing, and of one that records.
	PerHook  float64 `json:"ns_per_hook"`
	PerEvent float64 `json:"ns_per_event"`
	// Spread is the standard deviation of PerEvent, taken batch by batch.
	Spread float64 `json:"ns_per_event_stddev"`
}

// arm is a kind of batch.
type arm int

const (
	untraced arm = iota
	filtered
	traced
	arms
)

// calibrator gathers the round-trip times of one mode.
type calibrator struct {
	*session
	counts     Counts
	unanswered int
	rtts       [2][arms][][]int64 // paced or flood, kind, batch
}

// Calibrate measures a mode.
func (c Config) Calibrate(ctx context.Context, mode string) (out Calibration, err error) {
	s, err := c.open(ctx, mode)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	cal := calibrator{session: s, counts: newCounts()}
	for range c.Protocol.Batches {
		for kind := range arms {
			if err := cal.batch(ctx, kind); err != nil {
				return out, fmt.Errorf("calibration in %s: %w", mode, err)
			}
		}
	}
	out = Calibration{Mode: mode, Counts: cal.counts, Unanswered: cal.unanswered}
	if n := cal.counts.Traces; n > 0 {
		out.EventsPerPing = float64(cal.counts.Events) / float64(n)
	}
	out.Paced = compareArms(cal.rtts[0], out.EventsPerPing)
	out.Flood = compareArms(cal.rtts[1], out.EventsPerPing)
	return out, nil
}

// batch sends a batch at the protocol's interval and one as a flood.
func (c *calibrator) batch(ctx context.Context, kind arm) error {
	send := func(ctx context.Context) error { return c.send(ctx, kind) }
	if kind == untraced {
		return send(ctx)
	}
	scope := c.scope()
	scope.OnTrace = c.counts.add
	if kind == filtered {
		// No namespace has the number 0: programs run and find nothing to record.
		scope.NetNS = []uint32{0}
		scope.OnTrace = func(*trace.Trace) { c.counts.Stray++ }
	}
	recorded, err := c.during(ctx, scope, send)
	c.counts.Events += recorded.Events
	c.counts.EventsLost += recorded.Lost
	return err
}

func (c *calibrator) send(ctx context.Context, kind arm) error {
	for i, flood := range []bool{false, true} {
		report, err := c.ping(ctx, c.batchID(i), flood)
		if err != nil {
			return err
		}
		if kind == traced {
			c.counts.Sent += len(report.Echoes)
			c.counts.Received += report.Received()
		} else {
			c.unanswered += report.Lost()
		}
		var ns []int64
		for _, rtt := range report.RTTs() {
			ns = append(ns, rtt.Nanoseconds())
		}
		c.rtts[i][kind] = append(c.rtts[i][kind], ns)
	}
	return nil
}

// compareArms works out what a hook and an event cost.
func compareArms(rtts [arms][][]int64, events float64) Arms {
	var all [arms]Figures
	for kind, batches := range rtts {
		var ns []int64
		for _, b := range batches {
			ns = append(ns, b...)
		}
		all[kind] = Summarise(ns)
	}
	out := Arms{Untraced: all[untraced], Filtered: all[filtered], Traced: all[traced]}
	if events == 0 {
		return out
	}
	out.PerHook = float64(out.Filtered.P50-out.Untraced.P50) / events
	out.PerEvent = float64(out.Traced.P50-out.Untraced.P50) / events
	var perBatch []int64
	for i := range rtts[traced] {
		a, b := Summarise(rtts[untraced][i]), Summarise(rtts[traced][i])
		perBatch = append(perBatch, b.P50-a.P50)
	}
	out.Spread = Summarise(perBatch).StdDev / events
	return out
}
