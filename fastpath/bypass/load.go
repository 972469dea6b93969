// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// Defaults of the settings.
const (
	defaultLeaseSeconds = 10
	defaultAgreed       = 2
)

// prepare makes a directory of bpffs.
func prepare(pin, dir string) error {
	return errors.Join(pinned.Prepare(pin), os.MkdirAll(dir, 0o700))
}

// isInternal reports whether a map is that of an object's variables, which is made for each time
// that it is loaded.
func isInternal(name string) bool { return strings.HasPrefix(name, ".") }

// spec returns an object's programs and maps, with what is constant in them.
func (b *Bypass) spec(load func() (*ebpf.CollectionSpec, error)) (*ebpf.CollectionSpec, error) {
	spec, err := load()
	if err != nil {
		return nil, err
	}
	var errs []error
	for name, value := range b.kernel.constants() {
		if v := spec.Variables[name]; v != nil {
			errs = append(errs, v.Set(value))
		}
	}
	if b.opts.Flows != 0 {
		for _, name := range []string{plainMapFlows4, plainMapFlows6} {
			if m := spec.Maps[name]; m != nil {
				m.MaxEntries = uint32(b.opts.Flows)
			}
		}
	}
	return spec, errors.Join(errs...)
}

// openMaps opens what is pinned, or makes it: all or nothing, because what is in one goes with what is in
// others.
func (b *Bypass) openMaps(spec *ebpf.CollectionSpec) error {
	if !b.fit(spec) {
		for name := range spec.Maps {
			if isInternal(name) { // nothing can be pinned with such a name
				continue
			}
			if err := pinned.Remove(b.path(name)); err != nil {
				return err
			}
		}
	}
	for name, ms := range spec.Maps {
		if isInternal(name) {
			continue
		}
		m, _, err := pinned.OpenMap(b.path(name), ms)
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		b.maps[name] = m
	}
	return nil
}

// fit reports whether all maps are pinned and have the right form.
func (b *Bypass) fit(spec *ebpf.CollectionSpec) bool {
	for name, ms := range spec.Maps {
		if isInternal(name) {
			continue
		}
		m, err := ebpf.LoadPinnedMap(b.path(name), nil)
		if err != nil {
			return false
		}
		err = ms.Compatible(m)
		m.Close()
		if err != nil {
			return false
		}
	}
	return true
}

// begin gives new maps their settings. In those that were there, nothing holds any more that somebody
// has to watch over.
func (b *Bypass) begin() {
	if b.memory.isNew() {
		b.memory.set(func(s *plainSetting) *uint32 { return &s.Agreed }, defaultAgreed)
		b.memory.set(func(s *plainSetting) *uint32 { return &s.Lease }, defaultLeaseSeconds*b.kernel.hz)
	}
	b.Hold(false)
	b.doubt()
}

// openPrograms loads the programs, and pins them in place of those that are pinned.
func (b *Bypass) openPrograms(spec *ebpf.CollectionSpec, types *btf.Cache) error {
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: b.maps, Cache: types})
	if err != nil {
		return err
	}
	defer loaded.Close() // of what is not taken out of it
	for name := range spec.Programs {
		b.programs[name] = loaded.DetachProgram(name)
		if err := pinned.Replace(b.path(name), b.programs[name]); err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
	}
	return nil
}
