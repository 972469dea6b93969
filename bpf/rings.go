// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// rings are the ring buffers that the programs write into, one a CPU. One goroutine at a time
// may use them.
type rings struct {
	mem    []byte
	all    []ring
	merger merger
}

func newRings(m *ebpf.Map) (*rings, error) {
	cpus, stride := int(m.MaxEntries()), int(m.ValueSize())
	mem, err := unix.Mmap(m.FD(), 0, cpus*stride, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring buffers into memory: %w", err)
	}
	return ringsIn(mem, stride), nil
}

// ringsIn returns those of the values of a map.
func ringsIn(mem []byte, stride int) *rings {
	rs := &rings{mem: mem}
	for ; len(mem) >= stride; mem = mem[stride:] {
		rs.all = append(rs.all, newRing(mem[:stride:stride]))
	}
	return rs
}

func (rs *rings) close() error {
	if rs.mem == nil {
		return nil
	}
	err := unix.Munmap(rs.mem)
	rs.mem, rs.all = nil, nil
	return err
}

// size returns the bytes that there is room for.
func (rs *rings) size() (n int) {
	for i := range rs.all {
		n += int(rs.all[i].size)
	}
	return n
}

// unread returns the bytes that are in the rings together, and in the fullest one.
func (rs *rings) unread() (sum, most int) {
	for i := range rs.all {
		n := int(rs.all[i].unread())
		sum, most = sum+n, max(most, n)
	}
	return sum, most
}

// counted returns how many records were written on a CPU, and for how many there was no room.
func (rs *rings) counted(cpu int) (emitted, lost uint64) {
	if cpu >= len(rs.all) {
		return 0, 0
	}
	r := &rs.all[cpu]
	r.observe()
	return r.count, atomic.LoadUint64(r.lost)
}
