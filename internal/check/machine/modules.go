// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// AddModules adds files to a directory of the archive that contain kernel modules, and
// those that they depend on. In the order of their names, they are to be given to
// init_module(2) or insmod. A module that the kernel does not have is taken to be built in.
func (k Kernel) AddModules(a *Archive, dir string, names ...string) error {
	loaded, err := resolve(k.Modules, names)
	if err != nil {
		return err
	}
	a.Directory(dir)
	for i, m := range loaded {
		a.File(fmt.Sprintf("%s/%02d-%s", dir, i, m.name), m.data)
	}
	return nil
}

// module is a kernel module, decompressed.
type module struct {
	name string
	data []byte
}

// resolve returns the modules and those that they depend on, in the order in which
// they must be inserted.
func resolve(dir string, names []string) ([]module, error) {
	paths := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	r := resolver{paths: paths, done: map[string]bool{}}
	for _, n := range names {
		if err := r.add(n); err != nil {
			return nil, err
		}
	}
	return r.order, nil
}

type resolver struct {
	paths map[string]string
	done  map[string]bool
	order []module
}

func (r *resolver) add(name string) error {
	name = strings.ReplaceAll(name, "-", "_")
	path := r.paths[name]
	if r.done[name] || path == "" {
		return nil
	}
	r.done[name] = true
	data, err := read(path)
	if err != nil {
		return err
	}
	depends, err := dependencies(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, d := range depends {
		if err := r.add(d); err != nil {
			return err
		}
	}
	r.order = append(r.order, module{name, data})
	return nil
}

func read(path string) ([]byte, error) {
	if strings.HasSuffix(path, ".xz") {
		return exec.Command("xz", "-dc", path).Output()
	}
	return os.ReadFile(path)
}

// dependencies reads the "depends=" entry of a module's .modinfo section.
func dependencies(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
