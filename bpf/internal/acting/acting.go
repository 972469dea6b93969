// SPDX-License-Identifier: Apache-2.0

// Package acting has a BPF object that is not the tracer's, and that says in the tracer's
// ring what it did to a packet. It shows, and lets tests see, how the firewall and the fast
// path do that: it knows the public headers of package bpf and the maps that it is given, and
// imports nothing of dwell.
package acting

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Program is a program for TC that says of each echo what was done to it.
type Program struct{ *ebpf.Program }

// Load puts the program into the kernel. shared are the maps to be used instead of the
// object's own, by name; those that the object does not have are not used. They must stay
// open until Load has returned.
func Load(shared map[string]*ebpf.Map) (*Program, error) {
	spec, err := loadActing()
	if err != nil {
		return nil, err
	}
	return load(spec, actingProgActing, shared)
}

// own is the map of what is constant in a program.
const own = ".rodata"

func load(spec *ebpf.CollectionSpec, name string, shared map[string]*ebpf.Map) (*Program, error) {
	opts := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	for name, m := range spec.Maps {
		if name == own {
			continue
		}
		replacement := shared[name]
		if replacement == nil {
			return nil, fmt.Errorf("map %s is not shared", name)
		}
		m.MaxEntries, m.ValueSize = replacement.MaxEntries(), replacement.ValueSize() // the kernel compares sizes
		opts.MapReplacements[name] = replacement
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	p := &Program{loaded.DetachProgram(name)}
	if p.Program == nil {
		return nil, errors.New("the object has no program")
	}
	return p, nil
}
