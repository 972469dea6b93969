// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns"
)

// nowhere is the inode number of no namespace. The kernel side and the inventory take an
// empty list for everything and for the host; where references mean nothing, the list
// has this in it.
const nowhere = 0

// nothing is the name of no device: the kernel does not allow it (dev_valid_name).
const nothing = "/"

// target is what a Scope comes to at one time: numbers in place of references.
type target struct {
	filter                 bpf.Filter
	hypervisors, netfilter []uint32
	// unresolved are the references to namespaces and devices that mean nothing.
	unresolved Unresolved
}

// Unresolved are the references of a [Scope] that match nothing, in order.
type Unresolved struct{ NetNS, Interfaces []string }

// Count returns how many there are.
func (u Unresolved) Count() int { return len(u.NetNS) + len(u.Interfaces) }

// resolve looks up what the scope means now. Names are always looked up again, so that a
// namespace has its name before its first ping is traced. Only containers, patterns, and
// references not found otherwise need a scan of all processes, if that is requested.
func resolve(v *inventory.Inventory, s Scope, where inventory.Where) target {
	v.Refresh(inventory.Names)
	refs := slices.Concat(s.NetNS, s.Hypervisors, s.netfilter())
	t := lookUp(v, s)
	needed := v.Containers() || len(t.unresolved.NetNS) > 0 || slices.ContainsFunc(refs, inventory.IsPattern)
	if where == inventory.Everywhere && (needed || len(s.Interfaces) > 0) {
		v.Refresh(where)
		if len(s.Interfaces) > 0 {
			v.RefreshInterfaces()
		}
		t = lookUp(v, s)
	}
	return t
}

func lookUp(v *inventory.Inventory, s Scope) target {
	r := resolution{v: v}
	within := r.wanted(s.NetNS)
	t := target{
		filter:      bpf.Filter{NetNS: within, Interfaces: r.interfaces(s.Interfaces, within), Addresses: s.Addresses},
		hypervisors: r.wanted(s.Hypervisors),
		netfilter:   r.all(s.netfilter()),
	}
	slices.Sort(r.unresolved)
	slices.Sort(r.absent)
	t.unresolved = Unresolved{NetNS: slices.Compact(r.unresolved), Interfaces: slices.Compact(r.absent)}
	return t
}

// resolution collects what cannot be resolved.
type resolution struct {
	v *inventory.Inventory
	// unresolved are references to namespaces, absent to devices.
	unresolved, absent []string
}

// interfaces returns the names of the devices that are meant, in order. What can be a
// device's name is always one of them, so that a device that is yet to come is traced from
// its first packet.
func (r *resolution) interfaces(refs []string, within []uint32) []string {
	var names []string
	for _, ref := range refs {
		found := r.v.FindInterfaces(ref, within)
		if len(found) == 0 {
			r.absent = append(r.absent, ref)
		}
		names = append(names, found...)
		if inventory.IsKernelName(ref) {
			names = append(names, ref)
		}
	}
	if len(refs) > 0 && len(names) == 0 {
		names = []string{nothing}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// all returns the inodes of all that is meant, in order.
func (r *resolution) all(refs []string) []uint32 {
	var inodes []uint32
	for _, ref := range refs {
		found := r.v.Find(ref)
		if len(found) == 0 {
			r.unresolved = append(r.unresolved, ref)
		}
		inodes = append(inodes, found...)
	}
	slices.Sort(inodes)
	return slices.Compact(inodes)
}

// wanted is all, but never empty if something is meant.
func (r *resolution) wanted(refs []string) []uint32 {
	inodes := r.all(refs)
	if len(refs) > 0 && len(inodes) == 0 {
		return []uint32{nowhere}
	}
	return inodes
}

// checkFound returns an error for a reference that means nothing now, unless it is
// a pattern, which is about what is to come.
func checkFound(v *inventory.Inventory, s Scope) error {
	var errs []error
	seen := map[string]bool{}
	for _, refs := range [][]string{s.NetNS, s.Hypervisors, s.netfilter()} {
		for _, ref := range refs {
			if seen[ref] || inventory.IsPattern(ref) || len(v.Find(ref)) > 0 {
				continue
			}
			seen[ref] = true
			// It says what there is, or what the path is instead.
			ns, err := netns.Open(ref)
			if err == nil {
				ns.Close()
				err = fmt.Errorf("network namespace %s appeared only after it was looked up", ref)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sameFilter reports whether two filters let the same pass.
func sameFilter(a, b bpf.Filter) bool {
	return slices.Equal(a.NetNS, b.NetNS) && slices.Equal(a.Interfaces, b.Interfaces) &&
		slices.Equal(a.Addresses, b.Addresses)
}
