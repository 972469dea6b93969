// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// CPUStats are what the programs counted on one CPU since Load.
type CPUStats struct {
	// Emitted is the number of events put into the ring.
	Emitted uint64
	// Lost is the number of events for which the ring had no room.
	Lost uint64
	// XmitOverflow counts how often more driver calls were nested than can be kept
	// (8); their net_dev_xmit events are missing.
	XmitOverflow uint64
	// XmitMismatch counts driver calls whose end was not seen; their net_dev_xmit
	// events are missing.
	XmitMismatch uint64
	// Gated is the number of events that were not recorded because of a gate's own threshold,
	// see [Tracer.SetGate].
	Gated uint64
	// SampledOut is the number of events that were not recorded because of the threshold of all
	// gates, see [Tracer.SetThreshold].
	SampledOut uint64
	// LeftDrops is the number of drops of echoes that were not recorded whose reason is not in
	// [Tracer.LeftDrops], because there were too many reasons.
	LeftDrops uint64
}

// Stats are the counters of the programs and of the reader since Load.
type Stats struct {
	// CPU has an entry for each possible CPU, by its number.
	CPU []CPUStats
	// Missed is the number of times that a program did not run because the same
	// one was interrupted on that CPU. Each may have been an event.
	Missed uint64
	// Malformed is the number of records that could not be decoded.
	Malformed uint64
}

// Total returns the sums over all CPUs.
func (s Stats) Total() CPUStats {
	var sum CPUStats
	for _, c := range s.CPU {
		sum.Emitted += c.Emitted
		sum.Lost += c.Lost
		sum.XmitOverflow += c.XmitOverflow
		sum.XmitMismatch += c.XmitMismatch
		sum.Gated += c.Gated
		sum.SampledOut += c.SampledOut
		sum.LeftDrops += c.LeftDrops
	}
	return sum
}

// Stats reads the counters. It is not meant to be called for each event. The
// error is ErrClosed after Close.
func (t *Tracer) Stats() (Stats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return Stats{}, ErrClosed
	}
	var cpus []kernelCounters
	if err := t.objs.Stats.Lookup(uint32(0), &cpus); err != nil {
		return Stats{}, fmt.Errorf("read counters: %w", explain(err))
	}
	var decided []kernelDecisions
	if err := t.objs.Decided.Lookup(uint32(0), &decided); err != nil {
		return Stats{}, fmt.Errorf("read counters: %w", explain(err))
	}
	t.reader.mu.Lock()
	defer t.reader.mu.Unlock()
	s := Stats{CPU: make([]CPUStats, len(cpus)), Malformed: t.reader.malformed.Load()}
	for i, c := range cpus {
		emitted, lost := t.reader.rings.counted(i)
		gated, sampledOut := decided[i].leftOut()
		s.CPU[i] = CPUStats{
			Emitted: emitted, Lost: lost, XmitOverflow: c.XmitOverflow, XmitMismatch: c.XmitMismatch,
			Gated: gated, SampledOut: sampledOut, LeftDrops: c.LeftDrops,
		}
	}
	for _, prog := range t.objs.tracepoints {
		n, err := misses(prog)
		if err != nil {
			return Stats{}, fmt.Errorf("read counters: %w", explain(err))
		}
		s.Missed += n
	}
	return s, nil
}

// Emitted returns how many events were put into the rings since Load, without a system call. The
// error is ErrClosed after Close.
func (t *Tracer) Emitted() (sum uint64, err error) {
	r := t.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, ErrClosed
	}
	for cpu := range r.rings.all {
		emitted, _ := r.rings.counted(cpu)
		sum += emitted
	}
	return sum, nil
}

// leftOut returns how many events were left out on a CPU, at all hooks.
func (d *kernelDecisions) leftOut() (gated, sampledOut uint64) {
	for _, n := range d.LeftOut {
		gated, sampledOut = gated+n.Gated, sampledOut+n.SampledOut
	}
	return gated, sampledOut
}

// LeftDrops returns how many packets of echoes that a gate had left out died since Load, by the code
// of the kernel's drop reason, see [DropReasons]. They are those that would have been recorded, as far
// as the filter can be asked about what was not recorded. The error is ErrClosed after Close.
func (t *Tracer) LeftDrops() (map[uint32]uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	drops := map[uint32]uint64{}
	var reason uint32
	var cpus []uint64
	all := t.objs.LeftDrops.Iterate()
	for all.Next(&reason, &cpus) {
		for _, n := range cpus {
			drops[reason] += n
		}
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("read the drops of what was left out: %w", explain(err))
	}
	return drops, nil
}

func misses(p *ebpf.Program) (uint64, error) {
	s, err := p.Stats()
	if err != nil {
		return 0, err
	}
	return s.RecursionMisses, nil
}
