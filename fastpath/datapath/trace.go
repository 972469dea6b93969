// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// slot is where a program that records stands: enum slot of c/maps.h.
type slot struct {
	array string
	index uint32
}

// slots are those of the programs by name.
func slots() map[string]slot {
	return map[string]slot{
		tracedProgIngress:  {plainMapTracedIngress, 0},
		tracedProgFromPass: {plainMapTracedForward, 0},
		tracedProgFromDrop: {plainMapTracedForward, 1},
		tracedProgToPass:   {plainMapTracedForward, 2},
		tracedProgToDrop:   {plainMapTracedForward, 3},
	}
}

// SetTracing changes where what is done to traced echoes is recorded: see [Options]. Programs
// stay where they are, in iptables' rules too: those that record are called by them.
func (d *Datapath) SetTracing(shared map[string]*ebpf.Map) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.setTracing(shared, btf.NewCache())
}

func (d *Datapath) setTracing(shared map[string]*ebpf.Map, types *btf.Cache) error {
	if shared == nil {
		var errs []error
		for _, s := range slots() {
			if err := d.maps[s.array].Delete(s.index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	loaded, err := d.loadTraced(shared, types)
	if err != nil {
		return fmt.Errorf("record what the firewall does to echoes: %w", explain(err))
	}
	defer loaded.Close() // the arrays keep the programs
	for name, s := range slots() {
		if err := d.maps[s.array].Put(s.index, loaded.Programs[name]); err != nil {
			return fmt.Errorf("record what the firewall does to echoes: program %s: %w", name, err)
		}
	}
	return nil
}

// loadTraced loads the programs that record.
func (d *Datapath) loadTraced(shared map[string]*ebpf.Map, types *btf.Cache) (*ebpf.Collection, error) {
	spec, err := d.spec(loadTraced)
	if err != nil {
		return nil, err
	}
	opts := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}, Cache: types}
	for name, m := range spec.Maps {
		own := d.maps[name]
		switch {
		case own != nil:
			opts.MapReplacements[name] = own
		case shared[name] != nil:
			m.MaxEntries, m.ValueSize = shared[name].MaxEntries(), shared[name].ValueSize() // the kernel compares sizes
			opts.MapReplacements[name] = shared[name]
		case name != constants && name != tracedMapRecords:
			return nil, fmt.Errorf("map %s is not shared", name)
		}
	}
	return ebpf.NewCollectionWithOptions(spec, opts)
}
