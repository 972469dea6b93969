// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/diagram"
)

// element is what a table consists of: struct element of c/classify.h.
type element = diagram.Node

// As in c/maps.h.
const (
	tableNoDrop    = 1 << 0
	tableICMPState = 1 << 1
	maxZones       = 16
	maxMarks       = 8
	decidersOf     = 16 // that an element has
	countsOf       = 4
	firstNode      = 2 // after head and premises
	innerMap       = 1 << 12
)

// head is the first element: struct table_head of c/maps.h.
type head struct {
	root, nodes, deciders, counts, stride, cpus, leaves, generation, flags, zones, marks uint32
}

func (h *head) element() element {
	return element{h.root, h.nodes, h.deciders, h.counts, h.stride, h.cpus, h.leaves, h.generation, h.flags, h.zones, h.marks}
}

func headOf(e element) head {
	return head{e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7], e[8], e[9], e[10]}
}

// elements returns how many elements the table has.
func (h *head) elements() uint32 { return h.counts + h.stride*h.cpus }

// encode returns the elements of a table but the counts, which are 0.
func (t *Table) encode(generation, cpus uint32) (head, []element) {
	d := t.Diagram
	h := head{root: d.Root, nodes: firstNode, cpus: cpus, leaves: uint32(len(d.Leaves)), generation: generation}
	h.deciders = h.nodes + uint32(len(d.Nodes))
	h.counts = h.deciders + (h.leaves+decidersOf-1)/decidersOf
	h.stride = (h.leaves + countsOf - 1) / countsOf
	premises := t.Premises.encode(&h)
	elements := make([]element, h.counts)
	elements[0], elements[1] = h.element(), premises
	copy(elements[h.nodes:], d.Nodes)
	for i, leaf := range d.Leaves {
		elements[h.deciders+uint32(i)/decidersOf][i%decidersOf] = leaf.Decider
	}
	return h, elements
}

// encode returns the element of premises, and completes the head. What does not fit forbids
// to drop.
func (p *Premises) encode(h *head) (e element) {
	zones := p.Zones
	if zones == nil {
		zones = []uint16{0}
	}
	zones = slices.Compact(slices.Sorted(slices.Values(zones)))
	marks := slices.Compact(slices.Sorted(slices.Values(p.Marks)))
	if len(marks) > 0 && marks[0] == 0 {
		marks = marks[1:] // asked for anyhow
	}
	if p.NoDrop || len(zones) > maxZones || len(marks) > maxMarks || len(zones) == 0 {
		h.flags |= tableNoDrop
		zones, marks = nil, nil
	}
	if p.ICMPState {
		h.flags |= tableICMPState
	}
	h.zones, h.marks = uint32(len(zones)), uint32(len(marks))
	for i, zone := range zones {
		e[i/2] |= uint32(zone) << (16 * (i % 2))
	}
	copy(e[maxZones/2:], marks)
	return e
}

// load puts a table into the kernel.
func (t *Table) load(kind Kind, generation uint32) (*ebpf.Map, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	h, elements := t.encode(generation, uint32(cpus))
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "table", Type: ebpf.Array, KeySize: 4, ValueSize: diagram.NodeBytes,
		MaxEntries: h.elements(), Flags: innerMap,
	})
	if err != nil {
		return nil, fmt.Errorf("table %s of %d MiB: %w", kind, h.elements()/(1<<20/diagram.NodeBytes), err)
	}
	keys := make([]uint32, len(elements))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := m.BatchUpdate(keys, elements, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("table %s: %w", kind, err), m.Close())
	}
	return m, nil
}

// chunk is how many elements are read at once.
const chunk = 4096

// readHead returns the head of a table.
func readHead(m *ebpf.Map) (head, error) {
	var e element
	err := m.Lookup(uint32(0), &e)
	return headOf(e), err
}

// readCounts returns the counts of a table's leaves, of all CPUs together.
func readCounts(kind Kind, m *ebpf.Map) (TableCounts, error) {
	h, err := readHead(m)
	if err != nil {
		return TableCounts{}, fmt.Errorf("table %s: %w", kind, err)
	}
	c := TableCounts{Kind: kind, Generation: h.generation, Leaves: make([]LeafCount, h.leaves)}
	keys, values := make([]uint32, chunk), make([]element, chunk)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			if keys[i] >= h.counts {
				c.add((keys[i]-h.counts)%h.stride*countsOf, values[i])
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("table %s: %w", kind, err)
		}
	}
}

// add adds an element of counts, the first of which is of that leaf.
func (c *TableCounts) add(leaf uint32, e element) {
	for i := 0; i < countsOf && int(leaf)+i < len(c.Leaves); i++ {
		c.Leaves[int(leaf)+i].Packets += uint64(e[4*i]) | uint64(e[4*i+1])<<32
		c.Leaves[int(leaf)+i].Bytes += uint64(e[4*i+2]) | uint64(e[4*i+3])<<32
	}
}
