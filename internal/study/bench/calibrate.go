// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Calibration is what tracing itself adds, measured in two ways that have little in
// common: by the pinger, whose clock needs no tracing, and by the hooks themselves, in
// an interval in which few or many of them record. Kinds of batch take turns.
//
// An interval between two events contains the probe's work of each event after its
// first, so the nanoseconds per event times the number of those is what tracing adds
// to it. Nothing is subtracted from any figure: what the caches lose to the probes is
// no constant.
type Calibration struct {
	Mode string `json:"mode"`
	// Counts are of the traced pings.
	Counts Counts `json:"counts"`
	// Unanswered counts the others' lost replies.
	Unanswered int `json:"unanswered"`
	// Paced is at the protocol's interval, at which caches and CPU cool down between
	// pings; Flood sends one as soon as the last is back.
	Paced Arms `json:"paced"`
	Flood Arms `json:"flood"`
}

// Arms are the kinds of batch, sent at one pace.
type Arms struct {
	// Untraced, Looking and Traced are round trips as the pinger saw them: without
	// programs, with programs that look and find nothing to record, and with all.
	Untraced Figures `json:"untraced"`
	Looking  Figures `json:"looking"`
	Traced   Figures `json:"traced"`
	// PerLook and PerEvent are the growth of the median in nanoseconds, divided by
	// the hooks: of a program that finds nothing, and of one that records.
	PerLook  float64 `json:"ns_per_look"`
	PerEvent float64 `json:"ns_per_event"`
	// Spread is the standard deviation of PerEvent, taken batch by batch.
	Spread float64 `json:"ns_per_event_stddev"`
	// Few and Many are root spans, first hook to delivery: one interval with only the
	// guest's hooks recorded in it, and with all.
	Few  Known `json:"few"`
	Many Known `json:"many"`
	// PerRecord is how much longer its median is for each hook more that records; that
	// a program looks there is in both.
	PerRecord float64 `json:"ns_per_record"`
}

// Known is the one interval, with so many hooks in it that record, both ends counted.
type Known struct {
	Hooks float64 `json:"hooks"`
	Figures
}

// CalibrationPasses is how often Calibrate sends the pings of the protocol: each kind of
// batch paced and as a flood.
const CalibrationPasses = int(arms) * int(paces)

// arm is a kind of batch.
type arm int

const (
	untraced arm = iota
	looking
	guestOnly
	traced
	arms
)

// pace is how the pings of a batch follow each other.
type pace int

const (
	paced pace = iota
	flooded
	paces
)

// calibrator gathers the figures of one mode.
type calibrator struct {
	*session
	counts     Counts
	unanswered int
	rtts       [paces][arms][][]int64 // by batch
	roots      [paces][arms][]int64   // durations of root spans
	events     [arms]uint64
	traces     [arms]uint64
}

// Calibrate measures a mode.
func (c Config) Calibrate(ctx context.Context, mode string) (out Calibration, err error) {
	s, err := c.open(ctx, mode)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	cal := calibrator{session: s, counts: newCounts()}
	for round := range c.Protocol.Batches {
		for turn := range arms {
			// The kind that begins changes from round to round.
			if err := cal.batch(ctx, (turn+arm(round))%arms); err != nil {
				return out, fmt.Errorf("calibration in %s: %w", mode, err)
			}
		}
	}
	return Calibration{
		Mode: mode, Counts: cal.counts, Unanswered: cal.unanswered,
		Paced: cal.compare(paced), Flood: cal.compare(flooded),
	}, nil
}

// batch sends a batch at each pace.
func (c *calibrator) batch(ctx context.Context, kind arm) error {
	send := func(ctx context.Context) error { return c.send(ctx, kind) }
	if kind == untraced {
		return send(ctx)
	}
	scope := c.scope()
	switch kind {
	case looking:
		scope.NetNS = []uint32{0} // no namespace has that number
	case guestOnly:
		scope.NetNS = []uint32{c.guest.Inode()}
	}
	scope.OnTrace = func(t *trace.Trace) { c.take(kind, t) }
	recorded, err := c.during(ctx, scope, send)
	c.events[kind] += recorded.Events
	c.counts.EventsLost += recorded.Lost
	if kind == traced {
		c.counts.Events += recorded.Events
	}
	return err
}

func (c *calibrator) send(ctx context.Context, kind arm) error {
	for p := range paces {
		report, err := c.ping(ctx, c.batchID(int(p)), p == flooded)
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
		c.rtts[p][kind] = append(c.rtts[p][kind], ns)
	}
	return nil
}

// take notes the round trip of a trace.
func (c *calibrator) take(kind arm, t *trace.Trace) {
	batch, ok := c.batchOf(t, int(paces))
	if !ok || kind == looking {
		c.counts.Stray++
		return
	}
	c.traces[kind]++
	if kind == traced {
		c.counts.add(t)
	}
	if t.Outcome == trace.Complete {
		c.roots[batch][kind] = append(c.roots[batch][kind], roundTrip(t))
	}
}

// compare works out what a hook costs at a pace.
func (c *calibrator) compare(p pace) Arms {
	out := Arms{
		Untraced: ofAll(c.rtts[p][untraced]), Looking: ofAll(c.rtts[p][looking]), Traced: ofAll(c.rtts[p][traced]),
		Few: c.known(p, guestOnly), Many: c.known(p, traced),
	}
	hooks := out.Many.Hooks
	if hooks == 0 {
		return out
	}
	out.PerLook = float64(out.Looking.P50-out.Untraced.P50) / hooks
	out.PerEvent = float64(out.Traced.P50-out.Untraced.P50) / hooks
	var perBatch []int64
	for i := range c.rtts[p][traced] {
		perBatch = append(perBatch, Summarise(c.rtts[p][traced][i]).P50-Summarise(c.rtts[p][untraced][i]).P50)
	}
	out.Spread = Summarise(perBatch).StdDev / hooks
	if more := hooks - out.Few.Hooks; more > 0 {
		out.PerRecord = float64(out.Many.P50-out.Few.P50) / more
	}
	return out
}

func (c *calibrator) known(p pace, kind arm) Known {
	k := Known{Figures: Summarise(c.roots[p][kind])}
	if c.traces[kind] > 0 {
		k.Hooks = float64(c.events[kind]) / float64(c.traces[kind])
	}
	return k
}

func ofAll(batches [][]int64) Figures { return Summarise(slices.Concat(batches...)) }
