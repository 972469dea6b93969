// SPDX-License-Identifier: Apache-2.0

// Package walking walks diagrams in the kernel for packets that are given as words: to compare the walk of
// classify.h with Go's, and to time it without anything else that happens to a packet.
package walking

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
)

// Packets is how many packets a walker has at most.
const Packets = 8192

// packet is a packet as the program has it.
type packet [32]uint32

// Walker is the programs, loaded. Close it.
type Walker struct {
	objects walkingObjects
	packets int
}

// Load loads the programs, which have no diagram yet: every packet's leaf is 0.
func Load() (*Walker, error) {
	w := &Walker{}
	if err := loadWalkingObjects(&w.objects, nil); err != nil {
		return nil, fmt.Errorf("load the walk: %w", err)
	}
	return w, nil
}

// Close unloads the programs.
func (w *Walker) Close() error { return w.objects.Close() }

// SetDiagram replaces the diagram.
func (w *Walker) SetDiagram(d *diagram.Diagram) error {
	// What is before the nodes is more than the head, to see that the index of the first is used.
	const first = 3
	elements := make([]diagram.Node, first, first+len(d.Nodes))
	elements[0][0], elements[0][1] = d.Root, first
	elements = append(elements, d.Nodes...)
	table, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.Array, KeySize: 4, ValueSize: diagram.NodeBytes,
		MaxEntries: uint32(len(elements)), Flags: innerMap,
	})
	if err != nil {
		return fmt.Errorf("make a table: %w", err)
	}
	defer table.Close()
	keys := make([]uint32, len(elements))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := table.BatchUpdate(keys, elements, nil); err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	return w.objects.Tables.Put(uint32(0), table)
}

// innerMap is BPF_F_INNER_MAP: its size may differ from that of the map that it replaces.
const innerMap = 1 << 12

// SetPackets replaces the packets. Fewer than [Packets] are repeated.
func (w *Walker) SetPackets(packets []header.Packet) error {
	w.packets = min(len(packets), Packets)
	keys, values := make([]uint32, Packets), make([]packet, Packets)
	for i := range keys {
		keys[i] = uint32(i)
		copy(values[i][:], packets[i%w.packets].Words[:])
	}
	_, err := w.objects.Packets.BatchUpdate(keys, values, nil)
	return err
}

// Leaves walks for all packets, and returns what is next after the last node of each: its leaf.
func (w *Walker) Leaves() ([]uint32, error) {
	if err := w.objects.Count.Set(uint32(w.packets)); err != nil {
		return nil, err
	}
	if _, err := w.objects.All.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
		return nil, err
	}
	keys, leaves := make([]uint32, w.packets), make([]uint32, w.packets)
	var cursor ebpf.MapBatchCursor
	if _, err := w.objects.Leaves.BatchLookup(&cursor, keys, leaves, nil); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, err
	}
	return leaves, nil
}

// Time is how long a run takes.
type Time struct {
	// Same is for the first packet again and again, Next for all in turn, and Nowhere for all without
	// a walk.
	Same, Next, Nowhere time.Duration
}

// Time measures runs of each program, one after the other.
func (w *Walker) Time(runs int) (Time, error) {
	var t Time
	for _, m := range []struct {
		program *ebpf.Program
		result  *time.Duration
	}{{w.objects.Same, &t.Same}, {w.objects.Next, &t.Next}, {w.objects.Nowhere, &t.Nowhere}} {
		_, d, err := m.program.Benchmark(make([]byte, 64), runs, nil)
		if err != nil {
			return t, err
		}
		*m.result = d
	}
	return t, nil
}
