// SPDX-License-Identifier: Apache-2.0

package agent

import "maps"

// LeftOut counts what was left out on purpose, for one reason.
type LeftOut struct {
	// Pings is how many there were, about: nobody counts pings of which nothing is recorded,
	// so it is how many events they had by how many events those have that are traced.
	Pings uint64
	// Events were recorded before a threshold was raised, and no trace was made of them. What the
	// kernel side left out is in Summary.Kernel.
	Events uint64
	// Traces were of pings that were on their way when a threshold changed.
	Traces uint64
}

// leftOut counts what the gates leave out. It is the loop's.
type leftOut struct {
	gated, sampled tallied
	// drops are those of Summary, and asked is when the kernel side was asked for them last.
	drops map[string]uint64
	asked uint64
	upTo  uint64 // events that were left out then
}

// tallied is one reason's. What the kernel side left out is not in it.
type tallied struct {
	events, traces uint64
	// counted is how many events are in pings.
	counted uint64
	pings   float64
}

// of returns where a choice is counted, or nil.
func (l *leftOut) of(c choice) *tallied {
	switch c {
	case gated:
		return &l.gated
	case sampledOut:
		return &l.sampled
	default:
		return nil
	}
}

// event counts an event, and trace a trace of which there was such a choice.
func (l *leftOut) event(c choice) {
	if t := l.of(c); t != nil {
		t.events++
	}
}

func (l *leftOut) trace(c choice) {
	if t := l.of(c); t != nil {
		t.traces++
	}
}

// events returns how many were read and left out, and traces how many were not shown.
func (l *leftOut) events() uint64 { return l.gated.events + l.sampled.events }

func (l *leftOut) traces() uint64 { return l.gated.traces + l.sampled.traces }

// count updates the summary by what the kernel side has counted, when a ping has so many events.
func (l *leftOut) count(a *Agent, perPing float64) error {
	kernel := a.summary.Kernel.Total()
	a.summary.Gated = l.gated.total(kernel.Gated, perPing)
	a.summary.SampledOut = l.sampled.total(kernel.SampledOut, perPing)
	return l.countDrops(a, kernel.Gated+kernel.SampledOut, kernel.LeftDrops)
}

// total adds what the kernel side has left out.
func (t *tallied) total(inKernel uint64, perPing float64) LeftOut {
	events := inKernel + t.events
	t.pings += float64(events-t.counted) / perPing
	t.counted = events
	return LeftOut{Pings: uint64(t.pings) + t.traces, Events: t.events, Traces: t.traces}
}

// otherReason stands for drop reasons for which the kernel side had no room.
const otherReason = "other"

// countDrops asks of what the packets died that the kernel side left out, if there are more: not more
// often than every tick but at the end, because it takes some system calls.
func (l *leftOut) countDrops(a *Agent, leftOut, others uint64) error {
	now, upTo := a.checked, leftOut
	if upTo == l.upTo || !a.finishing && now-l.asked < uint64(tick) {
		return nil
	}
	codes, err := a.tracer.LeftDrops()
	if err != nil {
		return err
	}
	drops := map[string]uint64{}
	for code, n := range codes {
		drops[a.resolver.DropReason(code)] += n
	}
	if others > 0 {
		drops[otherReason] += others
	}
	l.asked, l.upTo = now, upTo
	if !maps.Equal(drops, l.drops) {
		l.drops = drops
		a.summary.LeftDrops = drops // is never modified
	}
	return nil
}

// usualEvents is how many events a ping through the lab's bridge topology has.
const usualEvents = 24

// perPing returns how many events a ping has, on average.
func (g *gatekeeper) perPing() float64 {
	const enough = 100
	if pings := g.pings.Load(); pings > enough {
		return float64(g.taken.Load()) / float64(pings)
	}
	return usualEvents
}
