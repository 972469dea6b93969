// SPDX-License-Identifier: Apache-2.0

package inventory

// maxStacked is how many devices may be stacked on each other, as the kernel has it
// (MAX_NEST_DEV in linux/netdevice.h).
const maxStacked = 8

// port finds out whose a device is that is in a hypervisor or in a shared namespace.
func (j *judge) port(k known) ownership {
	said, private, conflict := j.claims(k, maxStacked)
	if conflict {
		return ownership{unsure: true, judged: true}
	}
	if said.conflict() {
		j.report(deviceKind, k.device.Name, said)
	}
	return ownership{
		judged: true, said: said, tenant: said.owner(),
		unsure: said.conflict() || said.none() && private,
	}
}

// claims returns who owns a device that is in a hypervisor or in a shared namespace: by its
// name, by the namespace that it leads to, by its bridge, or else by the device that it is
// stacked on. It is private if it leads to a guest, of whomever; a conflict is one about the
// namespace that it leads to.
func (j *judge) claims(k known, depth int) (said verdict, private, conflict bool) {
	j.said = verdict{}
	matchNames(j.t.set, k.device.Name, k.others, j.add)
	said = j.said
	said.merge(j.t.vms.owner(k.device.Name))
	hidden := k.edge == pair && k.device.Lower.NetNS == 0 // it may lead to anybody
	private = k.edge == tap || hidden
	if other := k.device.Lower.NetNS; other != 0 && other != j.inode {
		role, conflict := j.v.roleOf(j.n, other)
		switch {
		case k.edge != pair: // it is stacked on a device there
			said.merge(j.n.owners[other])
		case conflict:
			return verdict{}, true, true
		case role != sharedRole:
			private = true
			said.merge(j.n.owners[other])
		default:
			private = false
		}
	}
	if said.none() && k.device.Bridge != "" && !hidden {
		j.said = verdict{}
		j.t.set.MatchBridge(k.device.Bridge, j.add)
		said = j.said
		private = private || k.unplaced && j.t.set.HasBridges()
	}
	if below := k.device.Lower; said.none() && k.edge == plain && below.NetNS == j.inode && depth > 0 {
		parent, ok := j.devices[below.Index]
		if !ok {
			return said, true, false
		}
		said, private, conflict = j.claims(parent, depth-1)
	}
	return said, private, conflict
}

// hangsOn reports whether a device is one of those that changed tells of, or may be somebody
// else's because of one: its bridge, or what it is stacked on.
func hangsOn(devices map[uint32]known, index uint32, changed func(uint32) bool) bool {
	for range maxStacked {
		k, ok := devices[index]
		switch {
		case changed(index), ok && k.master > 0 && changed(uint32(k.master)):
			return true
		case !ok || k.edge != plain || k.device.Lower.NetNS != k.device.NetNS.Inode:
			return false
		}
		index = k.device.Lower.Index
	}
	return true
}
