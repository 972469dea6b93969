// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

const directions = uint32(plainDirectionDIRECTIONS)

// countsChunk is how many elements of counts are read at once, each of all CPUs.
const countsChunk = 64

// Counts returns what became of packets, by slot and direction; those without any are left out.
func (b *Bypass) Counts() ([]Counts, error) {
	all, err := b.counts()
	if err != nil {
		return nil, fmt.Errorf("read the fast path's counts: %w", err)
	}
	return all, nil
}

func (b *Bypass) counts() ([]Counts, error) {
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	var all []Counts
	var cursor ebpf.MapBatchCursor
	keys, values := make([]uint32, countsChunk), make([]plainCount, countsChunk*cpus)
	for {
		n, err := b.maps[plainMapCounts].BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			c := Counts{
				Slot: uint16(keys[i] / directions), Direction: flow.Direction(keys[i] % directions),
				Slow: map[flow.Reason]uint64{}, Unlearnt: map[flow.Reason]uint64{},
			}
			if c.sum(values[i*cpus : (i+1)*cpus]) {
				all = append(all, c)
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// sum adds what the CPUs counted, and reports whether that is anything.
func (c *Counts) sum(cpus []plainCount) bool {
	for i := range cpus {
		cpu := &cpus[i]
		c.Fast += cpu.Fast
		c.Bytes += cpu.Bytes
		c.Same += cpu.Same
		c.Doubts += cpu.Unlearnt[flow.Mismatch]
		c.Differ += cpu.Differ + cpu.Unlearnt[flow.Mismatch]
		c.Learnt += cpu.Learnt
		addReasons(c.Slow, cpu.Slow[:])
		addReasons(c.Unlearnt, cpu.Unlearnt[:])
	}
	delete(c.Unlearnt, flow.Mismatch)
	return c.Fast != 0 || c.Same != 0 || c.Differ != 0 || c.Learnt != 0 || len(c.Slow) != 0
}

// addReasons adds counts by reason to those that are not 0.
func addReasons(sum map[flow.Reason]uint64, by []uint64) {
	for r, n := range by {
		if n != 0 {
			sum[flow.Reason(r)] += n
		}
	}
}

// Room returns how many flows of each family there can be: maps that were there keep their size.
func (b *Bypass) Room() (int, error) {
	release, err := b.use()
	if err != nil {
		return 0, err
	}
	defer release()
	return int(min(b.maps[plainMapFlows4].MaxEntries(), b.maps[plainMapFlows6].MaxEntries())), nil
}

// Usage returns how many flows each tenant has by slot; slots without any are left out.
func (b *Bypass) Usage() (map[uint16]int, error) {
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	var cursor ebpf.MapBatchCursor
	keys, values := make([]uint32, MaxTenants), make([]int64, MaxTenants)
	n, err := b.maps[plainMapUsage].BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read how many flows there are: %w", err)
	}
	used := map[uint16]int{}
	for i := range n {
		if values[i] != 0 {
			used[uint16(keys[i])] = int(values[i])
		}
	}
	return used, nil
}

// Unasked returns how many candidates found no room in the ring. They are asked for again.
func (b *Bypass) Unasked() (uint64, error) {
	release, err := b.use()
	if err != nil {
		return 0, err
	}
	defer release()
	var cpus []uint64
	if err := b.maps[plainMapUnasked].Lookup(uint32(0), &cpus); err != nil {
		return 0, fmt.Errorf("read how many flows could not be asked for: %w", err)
	}
	var sum uint64
	for _, n := range cpus {
		sum += n
	}
	return sum, nil
}
