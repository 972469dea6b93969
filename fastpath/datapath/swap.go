// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// Swap puts tables in place of those in force, and returns their generation. When it has
// returned, no packet is judged by the old ones. With an error, the old ones stay. Counts of the
// old ones that cannot be read are told by the next Counters.
func (d *Datapath) Swap(g Generation) (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	generation := d.generation + 1
	var next [kinds]*ebpf.Map
	for k, t := range [kinds]*Table{g.Ingress4, g.Ingress6, g.Forward4, g.Forward6} {
		if t == nil {
			continue
		}
		m, err := t.load(Kind(k), generation)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("change the firewall's tables: %w", explain(err)), closeAll(next))
		}
		next[k] = m
	}
	for k := range next {
		if next[k] == nil && d.tables[k] == nil {
			continue
		}
		if err := d.put(Kind(k), next[k]); err != nil {
			errs := []error{fmt.Errorf("change the firewall's tables: table %s: %w", Kind(k), explain(err))}
			for undo := range k {
				errs = append(errs, d.put(Kind(undo), d.tables[undo]))
			}
			return 0, errors.Join(append(errs, closeAll(next))...)
		}
	}
	old := d.tables
	d.tables, d.generation = next, generation
	d.lost = errors.Join(d.lost, d.finish(old), closeAll(old))
	return generation, nil
}

// put puts a table, or none, in force. When it returns, the kernel has waited for all programs
// that may have read the one before.
func (d *Datapath) put(kind Kind, m *ebpf.Map) error {
	tables := d.maps[plainMapTables]
	if m != nil {
		return tables.Put(uint32(kind), m)
	}
	if err := tables.Delete(uint32(kind)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// finish keeps the counts of tables that are not in force any more.
func (d *Datapath) finish(old [kinds]*ebpf.Map) error {
	var errs []error
	for k, m := range old {
		if m == nil {
			continue
		}
		c, err := readCounts(Kind(k), m)
		if err != nil {
			errs = append(errs, fmt.Errorf("counts of generation %d are lost: %w", d.generation-1, err))
			continue
		}
		c.Final = true
		d.final = append(d.final, c)
	}
	return errors.Join(errs...)
}

func closeAll(tables [kinds]*ebpf.Map) error {
	var errs []error
	for _, m := range tables {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// adoptTables opens the tables that are in force.
func (d *Datapath) adoptTables() error {
	for k := range d.tables {
		var m *ebpf.Map
		err := d.maps[plainMapTables].Lookup(uint32(k), &m)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", Kind(k), err)
		}
		d.tables[k] = m
		h, err := readHead(m)
		if err != nil {
			return fmt.Errorf("table %s: %w", Kind(k), err)
		}
		d.generation = max(d.generation, h.generation)
	}
	return nil
}

// Counters returns what was counted in the tables in force, and once in those that were
// replaced since the last call. An error that comes with counts says which were lost, once.
func (d *Datapath) Counters() ([]TableCounts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var present []TableCounts
	for k, m := range d.tables {
		if m == nil {
			continue
		}
		c, err := readCounts(Kind(k), m)
		if err != nil {
			return nil, fmt.Errorf("read the firewall's counters: %w", err)
		}
		present = append(present, c)
	}
	all := slices.Concat(d.final, present)
	lost := d.lost
	d.final, d.lost = nil, nil
	if lost != nil {
		return all, fmt.Errorf("read the firewall's counters: %w", lost)
	}
	return all, nil
}
