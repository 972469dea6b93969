// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// Gates is how many there are: one for each identifier that an echo can have.
	Gates = 1 << 16
	// GateShut is the threshold at which a gate lets nothing through.
	GateShut = 1<<32 - 1
)

// gates are the programs' gates (bpf/c/gate.h), in memory that is shared with them.
type gates struct {
	mu  sync.Mutex // guards what follows, and mem against close
	mem []byte     // nil after close
	// own are the gates' own thresholds, base is that of all.
	own  map[uint16]uint32
	base uint32
}

func newGates(m *ebpf.Map) (*gates, error) {
	size := (Gates + 1) * int(unsafe.Sizeof(kernelGate{}))
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the gates into memory: %w", err)
	}
	return &gates{mem: mem, own: map[uint16]uint32{}}, nil
}

func (g *gates) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mem == nil {
		return nil
	}
	err := unix.Munmap(g.mem)
	g.mem = nil
	return err
}

// table returns the gates by identifier, and what they have in common. The caller holds mu.
func (g *gates) table() (table []kernelGate, all *kernelGate, err error) {
	if g.mem == nil {
		return nil, nil, ErrClosed
	}
	entries := unsafe.Slice((*kernelGate)(unsafe.Pointer(unsafe.SliceData(g.mem))), Gates+1)
	return entries[:Gates], &entries[Gates], nil
}

// SetGate sets the threshold of an identifier's gate: it lets through only those pings whose
// randomness is no less, by the highest 32 of its 56 bits, which are the last of
// correlate.Identify; see [Options.Key]. At 0, which all have after Load, it is open, and at
// GateShut it lets nothing through. That of [Tracer.SetThreshold] applies, too. What only a gate's own
// threshold keeps out is counted in [CPUStats.Gated]; see [Tracer.LeftDrops] for what else is known of
// it. A program that runs may still go by the threshold before. The error is ErrClosed after Close.
func (t *Tracer) SetGate(id uint16, threshold uint32) error {
	g := t.gates
	g.mu.Lock()
	defer g.mu.Unlock()
	table, _, err := g.table()
	if err != nil {
		return err
	}
	if threshold == 0 {
		delete(g.own, id)
	} else {
		g.own[id] = threshold
	}
	atomic.StoreUint32(&table[id].Threshold, max(threshold, g.base))
	return nil
}

// SetThreshold sets a threshold of all gates, besides each one's own: see SetGate. What it keeps out is
// counted in [CPUStats.SampledOut]. It takes some 50 µs.
func (t *Tracer) SetThreshold(threshold uint32) error {
	g := t.gates
	g.mu.Lock()
	defer g.mu.Unlock()
	table, all, err := g.table()
	if err != nil {
		return err
	}
	// What is in between counts as sampled out: see decide in bpf/c/gate.h.
	atomic.StoreUint32(&all.Threshold, max(threshold, g.base))
	g.base = threshold
	for id := range table {
		atomic.StoreUint32(&table[id].Threshold, max(threshold, g.own[uint16(id)]))
	}
	atomic.StoreUint32(&all.Threshold, threshold)
	return nil
}

// Passed copies how many events each gate has let through since Load, modulo 2^32, into
// counts. Some are missing where several CPUs count at the same time, and some are counted
// that were lost then. It takes some 50 µs. The error is ErrClosed after Close.
func (t *Tracer) Passed(counts *[Gates]uint32) error {
	t.gates.mu.Lock()
	defer t.gates.mu.Unlock()
	table, _, err := t.gates.table()
	if err != nil {
		return err
	}
	for id := range counts {
		counts[id] = atomic.LoadUint32(&table[id].Passed)
	}
	return nil
}

// Unread returns how many bytes of records wait in the ring and in the backlog, and how many
// there is room for. The error is ErrClosed after Close.
func (t *Tracer) Unread() (n, room int, err error) {
	r := t.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, 0, ErrClosed
	}
	sum, _ := r.rings.unread()
	return sum + r.backlog.bytes, r.room, nil
}
