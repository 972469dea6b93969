// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// The ways that packets take.
const (
	slow      = "slow"      // the kernel's, without any program
	off       = "off"       // with the programs of a tenant that has no fast path
	shadow    = "shadow"    // what the fast path would do is compared with what the kernel does
	fast      = "fast"      // dwell's fast path
	flowtable = "flowtable" // the kernel's own
	redirect  = "redirect"  // programs that only redirect, where a bridge changes nothing in packets
	bare      = "bare"      // one veth pair, and no hypervisor
)

func allWays() []string { return []string{slow, off, shadow, fast, flowtable, redirect, bare} }

// side is one way of a scene.
type side struct {
	name string
	lab  *lab
	// enter has packets go that way from now on, and leave ends it.
	enter, leave func() error
	// accel is nil where dwell's programs are not asked.
	accel *accel
}

// sides returns the ways of a scene in the order of the table.
func (s *scene) sides(names []string) []side {
	var all []side
	for _, name := range names {
		if name != redirect || s.mode.switched {
			all = append(all, s.side(name))
		}
	}
	return all
}

func (s *scene) side(name string) side {
	none := func() error { return nil }
	d := side{name: name, lab: s.lab, enter: none, leave: none}
	dwell := func(m flow.Mode) {
		d.accel = s.accel
		d.enter = func() error { return s.accel.enter(&m, s.capacity) }
		d.leave = func() error { return s.accel.enter(nil, 0) }
	}
	switch name {
	case bare:
		d.lab = s.bare
	case off:
		dwell(flow.Off)
	case shadow:
		dwell(flow.Shadow)
	case fast:
		dwell(flow.On)
	case redirect:
		var remove func() error
		d.enter = func() (err error) { remove, err = shortCut(s.lab); return err }
		d.leave = func() error { return remove() }
	case flowtable:
		var remove func() error
		d.enter = func() (err error) {
			// A flowtable takes what leaves a bridge, not what comes by one of its ports.
			remove, err = offload(s.lab.hypervisor, portDevice, uplinkDevice)
			return err
		}
		d.leave = func() error { return remove() }
	}
	return d
}

// needsDwell reports whether one of the ways is dwell's.
func needsDwell(ways []string) bool {
	return slices.ContainsFunc(ways, func(w string) bool { return w == off || w == shadow || w == fast })
}

func checkWays(ways []string) error {
	for _, w := range ways {
		if !slices.Contains(allWays(), w) {
			return fmt.Errorf("-ways: %q is not one of %v", w, allWays())
		}
	}
	return nil
}
