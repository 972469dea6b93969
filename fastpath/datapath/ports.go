// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// indices returns the ports that the programs know, in order.
func (d *Datapath) indices() ([]int, error) {
	var all []int
	var index uint32
	var p plainPort
	entries := d.maps[plainMapPorts].Iterate()
	for entries.Next(&index, &p) {
		all = append(all, int(index))
	}
	slices.Sort(all)
	return slices.Compact(all), entries.Err()
}

// Attached returns the ports that have the program, in order of index.
func (d *Datapath) Attached() ([]AttachedPort, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, err := d.attached()
	if err != nil {
		return nil, fmt.Errorf("list the firewall's ports: %w", err)
	}
	return all, nil
}

func (d *Datapath) attached() ([]AttachedPort, error) {
	indices, err := d.indices()
	if err != nil {
		return nil, err
	}
	var all []AttachedPort
	for _, index := range indices {
		how, err := d.how(index)
		if err != nil {
			return nil, err
		}
		if how != "" {
			all = append(all, AttachedPort{Index: index, How: how})
		}
	}
	return all, nil
}

// Ports returns what the programs did at the ports, in order of index.
func (d *Datapath) Ports() ([]PortCounts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, err := d.readPorts()
	if err != nil {
		return nil, fmt.Errorf("read the firewall's ports: %w", err)
	}
	return all, nil
}

func (d *Datapath) readPorts() ([]PortCounts, error) {
	attached, err := d.attached()
	if err != nil {
		return nil, err
	}
	indices, err := d.indices()
	if err != nil {
		return nil, err
	}
	var all []PortCounts
	for _, index := range indices {
		var cpus []plainPortCounts
		err := d.maps[plainMapPortRuns].Lookup(uint32(index), &cpus)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c := sum(cpus)
		c.Index = index
		if i, ok := slices.BinarySearchFunc(attached, index, func(p AttachedPort, i int) int { return cmp.Compare(p.Index, i) }); ok {
			c.Attached = attached[i].How
		}
		all = append(all, c)
	}
	return all, nil
}

// sum adds up what the CPUs counted.
func sum(cpus []plainPortCounts) PortCounts {
	c := PortCounts{Deferred: map[Reason]uint64{}}
	var measured, ns uint64
	for _, cpu := range cpus {
		c.Packets += cpu.Packets
		c.Passed += cpu.Passed
		c.Dropped += cpu.Dropped
		measured += cpu.Measured
		ns += cpu.Ns
		for r, n := range cpu.Deferred {
			if n > 0 {
				c.Deferred[Reason(r)] += n
			}
		}
	}
	if measured > 0 {
		c.Nanoseconds = float64(ns) / float64(measured)
	}
	return c
}

// isFull reports whether a map had no room.
func isFull(err error) bool { return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) }
