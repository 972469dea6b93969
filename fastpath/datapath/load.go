// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/dwelltrace/dwell/fastpath/internal/pinned"
)

// constants is the name of the map with the variables of c/maps.h.
const constants = ".rodata"

// spec returns an object's programs and maps, with what is constant in them.
func (d *Datapath) spec(load func() (*ebpf.CollectionSpec, error)) (*ebpf.CollectionSpec, error) {
	spec, err := load()
	if err != nil {
		return nil, err
	}
	return spec, errors.Join(
		spec.Variables[plainVarTenant].Set(d.opts.Tenant),
		spec.Variables[plainVarCtOptsSize].Set(d.kernel.ctOptsSize),
		spec.Variables[plainVarNfConnStatus].Set(d.kernel.nfConnStatus),
	)
}

// openMaps opens what is pinned and fits, and makes the rest. It reports whether there was any.
func (d *Datapath) openMaps(spec *ebpf.CollectionSpec) (made bool, err error) {
	for name, ms := range spec.Maps {
		if name == constants {
			continue
		}
		m, isNew, err := pinned.OpenMap(d.Path(name), ms)
		if err != nil {
			return made, fmt.Errorf("map %s: %w", name, err)
		}
		made = made || isNew
		d.maps[name] = m
	}
	return made, nil
}

// openPrograms loads the programs, and pins those that are not pinned yet. Those that are
// pinned already and do the same stay, because rules of iptables have them.
func (d *Datapath) openPrograms(spec *ebpf.CollectionSpec, types *btf.Cache, anew bool) error {
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: d.maps, Cache: types})
	if err != nil {
		return err
	}
	defer loaded.Close() // of what is not taken out of it
	for name := range spec.Programs {
		p := loaded.DetachProgram(name)
		old, err := ebpf.LoadPinnedProgram(d.Path(name), nil)
		switch {
		case err == nil && !anew && same(p, old):
			p.Close()
			d.programs[name] = old
			continue
		case err == nil:
			d.renewed = true
			old.Close()
		case !errors.Is(err, fs.ErrNotExist):
			p.Close()
			return fmt.Errorf("program %s: %w", name, err)
		}
		d.programs[name] = p
		if err := pinned.Replace(d.Path(name), p); err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
	}
	return nil
}

// same reports whether two programs have the same instructions and constants.
func same(a, b *ebpf.Program) bool {
	x, errA := a.Info()
	y, errB := b.Info()
	if errA != nil || errB != nil || x.Tag != y.Tag || x.Type != y.Type {
		return false
	}
	return bytes.Equal(constantsOf(x), constantsOf(y))
}

// constantsOf returns the bytes of a program's variables, or nil.
func constantsOf(p *ebpf.ProgramInfo) []byte {
	ids, _ := p.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return nil
		}
		info, err := m.Info()
		if err == nil && info.Name == constants {
			value, _ := m.LookupBytes(uint32(0))
			m.Close()
			return value
		}
		m.Close()
	}
	return nil
}
