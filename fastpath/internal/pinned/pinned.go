// SPDX-License-Identifier: Apache-2.0

// Package pinned keeps programs and maps in directories of bpffs, where they outlive the agent: it opens
// what fits, replaces what does not, and pins again what somebody has removed.
package pinned

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// bpffs is where it is by custom. In containers that is an empty directory, in which none can
// be made.
const bpffs = "/sys/fs/bpf"

// Prepare makes the directory, and mounts bpffs at it or, if it is below, at the usual place,
// unless it is on one.
func Prepare(dir string) error {
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

// Remove removes a pin that may not be there.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", filepath.Base(path), err)
	}
	return nil
}

// OpenMap opens the map that is pinned at the path if it has the form of spec, and otherwise makes one and
// pins it there. It reports whether it did.
func OpenMap(path string, spec *ebpf.MapSpec) (m *ebpf.Map, made bool, err error) {
	m, err = ebpf.LoadPinnedMap(path, nil)
	if err == nil && spec.Compatible(m) == nil {
		return m, false, nil
	}
	if err == nil {
		// Nothing of ours has another form at this place.
		m.Close()
		err = errors.Join(fs.ErrNotExist, Remove(path))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	if m, err = ebpf.NewMap(spec); err != nil {
		return nil, false, err
	}
	if err := m.Pin(path); err != nil {
		return nil, false, errors.Join(err, m.Close())
	}
	return m, true, nil
}

// Replace pins a program in place of another, so that there is always one.
func Replace(path string, p *ebpf.Program) error {
	next := filepath.Join(filepath.Dir(path), "new_"+filepath.Base(path))
	if err := errors.Join(Remove(next), p.Pin(next)); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// missing reports whether nothing is pinned at a path.
func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// object is a map or a program.
type object[T any] interface {
	Clone() (T, error)
	Pin(path string) error
	Close() error
}

// Repin pins an object again if nothing is pinned at the path, and reports whether it did.
func Repin[T object[T]](path string, o T) (bool, error) {
	if !missing(path) {
		return false, nil
	}
	// A copy does not know that it was pinned: what knows is not pinned again.
	again, err := o.Clone()
	if err != nil {
		return false, err
	}
	return true, errors.Join(again.Pin(path), again.Close())
}
