// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// SetHypervisors says which namespaces are hypervisors from now on, by inode number. None
// means the host's own. Answers given before do not change.
func (v *Inventory) SetHypervisors(inodes []uint32) {
	v.setHypervisors(inodes)
	v.mu.RLock()
	spaces := slices.Collect(maps.Values(v.spaces))
	v.mu.RUnlock()
	for _, s := range spaces {
		v.assignRole(s)
	}
}

func (v *Inventory) setHypervisors(inodes []uint32) {
	if len(inodes) == 0 {
		inodes = []uint32{v.finder.inode}
	}
	inodes = slices.Clone(inodes)
	v.hypervisors.Store(&inodes)
	v.base.Add(1)
}

func (v *Inventory) isHypervisor(inode uint32) bool {
	return slices.Contains(*v.hypervisors.Load(), inode)
}

// assignRole gives the namespace and its devices the role that it has now.
func (v *Inventory) assignRole(s *space) {
	for {
		old := s.snapshot.Load()
		role := v.isHypervisor(s.inode)
		if old.netns.Hypervisor == role {
			return
		}
		snap := *old
		ns := *old.netns
		ns.Hypervisor = role
		snap.netns, snap.devices = &ns, rehome(old.devices, &ns)
		if s.snapshot.CompareAndSwap(old, &snap) {
			return
		}
	}
}

// rehome returns the devices as those of another description of their namespace.
func rehome(devices map[uint32]known, ns *trace.NetNS) map[uint32]known {
	moved := make(map[uint32]known, len(devices))
	for index, k := range devices {
		d := *k.device
		d.NetNS = ns
		k.device = &d
		moved[index] = k
	}
	return moved
}
