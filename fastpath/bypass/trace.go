// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// As enum slot in c/maps.h: where a program that records stands.
const (
	slotIngress = 0
	slotEgress  = 1
)

// SetTracing changes where what is done to traced echoes is recorded: see [Options]. Programs
// stay at the devices: those that record are called by them.
func (b *Bypass) SetTracing(shared map[string]*ebpf.Map) error {
	b.change.Lock()
	defer b.change.Unlock()
	return b.setTracing(shared, btf.NewCache())
}

func (b *Bypass) setTracing(shared map[string]*ebpf.Map, types *btf.Cache) error {
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	slots := map[string]uint32{tracedProgIngress: slotIngress, tracedProgEgress: slotEgress}
	array := b.maps[plainMapTraced]
	if shared == nil {
		var errs []error
		for _, slot := range slots {
			if err := array.Delete(slot); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	loaded, err := b.loadTraced(shared, types)
	if err != nil {
		return fmt.Errorf("record what the fast path does to echoes: %w", explain(err))
	}
	defer loaded.Close() // the array keeps the programs
	for name, slot := range slots {
		if err := array.Put(slot, loaded.Programs[name]); err != nil {
			return fmt.Errorf("record what the fast path does to echoes: program %s: %w", name, err)
		}
	}
	return nil
}

// loadTraced loads the programs that record.
func (b *Bypass) loadTraced(shared map[string]*ebpf.Map, types *btf.Cache) (*ebpf.Collection, error) {
	spec, err := b.spec(loadTraced)
	if err != nil {
		return nil, err
	}
	opts := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}, Cache: types}
	for name, m := range spec.Maps {
		own := b.maps[name]
		switch {
		case own != nil:
			opts.MapReplacements[name] = own
		case shared[name] != nil:
			m.MaxEntries, m.ValueSize = shared[name].MaxEntries(), shared[name].ValueSize() // the kernel compares sizes
			opts.MapReplacements[name] = shared[name]
		case !isInternal(name) && !isScratch(m):
			return nil, fmt.Errorf("map %s is not shared", name)
		}
	}
	return ebpf.NewCollectionWithOptions(spec, opts)
}

// isScratch reports whether a map is only what a program has no room for on its stack.
func isScratch(m *ebpf.MapSpec) bool { return m.Type == ebpf.PerCPUArray && m.MaxEntries == 1 }
