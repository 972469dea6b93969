// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// constants is the name of the map with the variables of c/maps.h.
const constants = ".rodata"

// bpffs is where it is by custom. In containers that is an empty directory, in which none can
// be made.
const bpffs = "/sys/fs/bpf"

// prepare makes the directory, and mounts bpffs at it or, if it is below, at the usual place,
// unless it is on one.
func prepare(dir string) error {
	at := dir
	if strings.HasPrefix(filepath.Clean(dir)+"/", bpffs+"/") {
		at = bpffs
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if st.Type != unix.BPF_FS_MAGIC {
		if err := unix.Mount("bpf", at, "bpf", 0, "mode=0700"); err != nil {
			return fmt.Errorf("mount bpffs at %s: %w", at, err)
		}
	}
	return os.MkdirAll(dir, 0o700)
}

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
		m, err := ebpf.LoadPinnedMap(d.Path(name), nil)
		if err == nil && ms.Compatible(m) != nil {
			// Nothing of ours has another form at this place.
			m.Close()
			err = errors.Join(fs.ErrNotExist, remove(d.Path(name)))
		}
		if errors.Is(err, fs.ErrNotExist) {
			made = true
			m, err = d.newMap(name, ms)
		}
		if err != nil {
			return made, fmt.Errorf("map %s: %w", name, err)
		}
		d.maps[name] = m
	}
	return made, nil
}

func (d *Datapath) newMap(name string, spec *ebpf.MapSpec) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	if err := m.Pin(d.Path(name)); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// openPrograms loads the programs, and pins those that are not pinned yet. Those that are
// pinned already and do the same stay, because rules of iptables have them.
func (d *Datapath) openPrograms(spec *ebpf.CollectionSpec, anew bool) error {
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: d.maps})
	if err != nil {
		return err
	}
	defer loaded.Close() // of what is not taken out of it
	for name := range spec.Programs {
		p := loaded.DetachProgram(name)
		pinned, err := ebpf.LoadPinnedProgram(d.Path(name), nil)
		switch {
		case err == nil && !anew && same(p, pinned):
			p.Close()
			d.programs[name] = pinned
			continue
		case err == nil:
			d.renewed = true
			pinned.Close()
		case !errors.Is(err, fs.ErrNotExist):
			p.Close()
			return fmt.Errorf("program %s: %w", name, err)
		}
		d.programs[name] = p
		if err := d.pinProgram(name, p); err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
	}
	return nil
}

// pinProgram pins a program in place of another, so that there is always one.
func (d *Datapath) pinProgram(name string, p *ebpf.Program) error {
	path := d.Path("new_" + name)
	if err := errors.Join(remove(path), p.Pin(path)); err != nil {
		return err
	}
	return os.Rename(path, d.Path(name))
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

// remove removes a pin that may not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Base(path), err)
	}
	return nil
}
