// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/event"
)

const (
	// Gates is how many there are: one for each identifier that an echo can have.
	Gates = 1 << 16
	// GateShut is the level at which a gate lets nothing through.
	GateShut = 64
)

// gates are the programs' gates (bpf/c/gate.h), in memory that is shared with them.
type gates struct {
	mu  sync.Mutex // guards mem against close
	mem []byte     // nil after close
}

func newGates(m *ebpf.Map) (*gates, error) {
	size := Gates * int(unsafe.Sizeof(kernelGate{}))
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the gates into memory: %w", err)
	}
	return &gates{mem: mem}, nil
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

// table returns the gates by identifier. The caller holds mu.
func (g *gates) table() ([]kernelGate, error) {
	if g.mem == nil {
		return nil, ErrClosed
	}
	return unsafe.Slice((*kernelGate)(unsafe.Pointer(unsafe.SliceData(g.mem))), Gates), nil
}

// SetGate sets the level of an identifier's gate. At level 0, which all have after Load, it is
// open. At level k it lets through only those pings of whose hash the k highest bits are 0, see
// [Options.Hash], and at GateShut none. What a gate does not let through is counted in
// [CPUStats.Gated] and nowhere else. A program that runs may still go by the level before. The
// error is ErrClosed after Close.
func (t *Tracer) SetGate(id uint16, level uint8) error {
	t.gates.mu.Lock()
	defer t.gates.mu.Unlock()
	table, err := t.gates.table()
	if err != nil {
		return err
	}
	atomic.StoreUint32(&table[id].Level, uint32(level))
	return nil
}

// Passed copies how many events each gate has let through since Load, modulo 2^32, into
// counts. Some are missing where several CPUs count at the same time, and some are counted
// that were lost then. It takes some 50 µs. The error is ErrClosed after Close.
func (t *Tracer) Passed(counts *[Gates]uint32) error {
	t.gates.mu.Lock()
	defer t.gates.mu.Unlock()
	table, err := t.gates.table()
	if err != nil {
		return err
	}
	for id := range counts {
		counts[id] = atomic.LoadUint32(&table[id].Passed)
	}
	return nil
}

// Hash returns the number by which the gates of a Tracer with these options judge an event.
// It is the same for all events of a ping, at each device and on each host.
func (o Options) Hash(ev *event.Event) uint64 {
	x := (binary.NativeEndian.Uint64(ev.Payload[:]) ^ o.GateSeed) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32 ^ binary.NativeEndian.Uint64(ev.Payload[8:])) * 0xbf58476d1ce4e5b9
	return (x ^ x>>29 ^ uint64(ev.Seq)) * 0x94d049bb133111eb
}

// Unread returns how many bytes of records wait in the rings and in the backlog, and how many
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
