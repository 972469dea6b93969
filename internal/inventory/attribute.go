// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/tenant"
)

// ownership is what was found out about a device, apart from what is in doubt for a while.
type ownership struct {
	tenant string
	// unsure is set if it is not known whose the device is, judged if this was found out at all.
	unsure, judged bool
	// doubt is until when the device is nobody's, because it was somebody else's.
	doubt time.Time
	// said are the references of which the tenant is the result.
	said verdict
}

// edge says what a device leads to, from the point of view of its namespace.
type edge uint8

const (
	// plain leads nowhere else, or out of the host.
	plain edge = iota
	// pair is one end of a pair, tap leads to a virtual machine.
	pair
	tap
)

// edgeOf returns what a link leads to.
func edgeOf(link netlink.Link) edge {
	switch l := link.(type) {
	case *netlink.Tuntap:
		if l.Mode == netlink.TUNTAP_MODE_TAP {
			return tap
		}
	case *netlink.Macvtap:
		return tap
	case *netlink.Veth, *netlink.Netkit:
		return pair
	}
	switch link.Type() {
	case "ipvtap":
		return tap
	case "vxcan":
		return pair
	}
	return plain
}

// sharedRole is the role of a namespace that all tenants may see. It cannot be an ID.
const sharedRole = "/"

// spaceOwner is what was found out about a namespace.
type spaceOwner struct {
	// role is the owner's ID, sharedRole, or "" for one that tenants do not see.
	role   string
	unsure bool
	judged bool
	// derived is set if the role follows from the ports through which it is reached.
	derived bool
	doubt   time.Time
}

// roleOf returns whose a namespace is, by its names.
func (v *Inventory) roleOf(n *naming, inode uint32) (role string, conflict bool) {
	said := n.owners[inode]
	switch {
	case v.isHypervisor(inode):
		return sharedRole, false
	case said.conflict():
		return "", true
	case !said.none():
		return said.owner(), false
	case n.shared[inode]:
		return sharedRole, false
	}
	return "", false
}

// attribute says in a snapshot that nobody else has yet whose everything in it is.
func (v *Inventory) attribute(inode uint32, snap *snapshot, now time.Time) {
	t := v.tenancy.Load()
	if t == nil {
		if snap.facts != 0 {
			snap.forget()
		}
		return
	}
	facts := v.facts()
	j := judge{v: v, t: t, n: v.naming(t), inode: inode, now: now, snap: snap, devices: snap.devices}
	j.add = func(ref *tenant.Ref) { j.said.add(ref) }
	role := j.space()
	ns := *snap.netns
	ns.Tenant, ns.Shared = "", false
	if role == sharedRole {
		ns.Shared = true
	} else {
		ns.Tenant = role
	}
	if ns != *snap.netns {
		snap.netns = &ns
	}
	before, ways := snap.devices, snap.ways
	snap.ways, snap.ports = nil, nil
	snap.devices = make(map[uint32]known, len(before))
	changed := false
	for index, k := range before {
		owned := j.device(k, role, len(snap.moved) > 0 && hangsOn(before, index, func(i uint32) bool { return snap.moved[i] }))
		changed = changed || owned.device != k.device
		snap.devices[index] = owned
	}
	snap.facts, snap.by, snap.conflicts, snap.moved = facts, t, j.conflicts, nil
	snap.recheck = j.recheck
	if role == sharedRole && (changed || !maps.Equal(ways, snap.ways)) {
		v.base.Add(1) // it may say something about other namespaces
	}
}

// forget makes the snapshot one of a time without tenants.
func (s *snapshot) forget() {
	ns := *s.netns
	ns.Tenant, ns.Shared = "", false
	devices := make(map[uint32]known, len(s.devices))
	for index, k := range s.devices {
		d := *k.device
		d.NetNS, d.Tenant, d.Unattributed = &ns, "", false
		k.device, k.own = &d, ownership{}
		devices[index] = k
	}
	s.netns, s.devices, s.owner = &ns, devices, spaceOwner{}
	s.facts, s.by, s.ways, s.ports, s.conflicts, s.recheck = 0, nil, nil, nil, nil, time.Time{}
}

// judge attributes one snapshot.
type judge struct {
	v         *Inventory
	t         *tenancy
	n         *naming
	inode     uint32
	now       time.Time
	snap      *snapshot
	devices   map[uint32]known // as they were listed
	conflicts []Conflict
	// said is what add has been called with, for one device after the other.
	said verdict
	add  func(*tenant.Ref)
	// recheck is when the first of the doubts is over.
	recheck time.Time
}

// space finds out whose the namespace is, and returns the role that it is given, which is
// none while that is in doubt.
func (j *judge) space() string {
	before := j.snap.owner
	role, conflict := j.v.roleOf(j.n, j.inode)
	after := spaceOwner{role: role, unsure: conflict, judged: true, doubt: before.doubt}
	if said := j.n.owners[j.inode]; conflict || j.v.isHypervisor(j.inode) && !said.none() {
		j.report(netnsKind, "", said)
	}
	if role == "" && !conflict {
		after.role, after.unsure = j.derive()
		after.derived = after.role != ""
	}
	switch {
	case j.snap.found:
	case j.snap.thorough && j.now.Sub(j.snap.gone) < j.v.cfg.Settle:
		after.role, after.unsure, after.derived = before.role, before.unsure, before.derived // what is gone stays whose it was
		j.check(j.snap.gone.Add(j.v.cfg.Settle))
	case !j.v.isHypervisor(j.inode):
		after.role, after.unsure, after.derived = "", true, false
	}
	// A namespace that was another's may be another namespace, with the same number.
	if before.judged && before.role != after.role && (before.role != "" || j.snap.reused) {
		after.doubt = j.now.Add(j.v.cfg.Settle)
	}
	j.snap.owner, j.snap.reused = after, false
	if j.doubted(after.doubt) {
		j.snap.owner.unsure = true
		return ""
	}
	return after.role
}

// doubted reports whether a doubt lasts, and notes when it ends.
func (j *judge) doubted(until time.Time) bool {
	if !j.now.Before(until) {
		return false
	}
	j.check(until)
	return true
}

func (j *judge) check(at time.Time) {
	if j.recheck.IsZero() || at.Before(j.recheck) {
		j.recheck = at
	}
}

// device returns a device of the namespace, which has the role, as whose it is. It may have had
// another name or bridge for a moment.
func (j *judge) device(k known, role string, moved bool) known {
	before := k.own
	switch {
	case role != "" && role != sharedRole:
		k.own = ownership{tenant: role, judged: true}
	case role == "":
		k.own = ownership{unsure: j.snap.owner.unsure, judged: true}
	case k.seen.Equal(j.snap.listed):
		k.own = j.port(k)
		k.own.doubt = before.doubt
		if before.judged && !before.unsure && (moved || before.tenant != k.own.tenant) {
			k.own.doubt = j.now.Add(j.v.cfg.Settle)
		}
		j.way(k)
	case !before.judged: // it went before tenants came
		k.own = ownership{unsure: true, judged: true}
	}
	owner, unsure := k.own.tenant, k.own.unsure
	if role == sharedRole && j.doubted(k.own.doubt) {
		owner, unsure = "", true
	}
	if d := k.device; d.NetNS != j.snap.netns || d.Tenant != owner || d.Unattributed != unsure {
		d := *k.device
		d.NetNS, d.Tenant, d.Unattributed = j.snap.netns, owner, unsure
		k.device = &d
	}
	return k
}

// way is to whom the devices belong through which a namespace is reached. It is comparable.
type way struct {
	tenant string
	// nobody is set if one of them is nobody's, several if they are of several tenants.
	nobody, several bool
}

func (w *way) add(id string) {
	switch {
	case id == "":
		w.nobody = true
	case w.tenant == "":
		w.tenant = id
	case w.tenant != id:
		w.several = true
	}
}

func (w *way) merge(o way) {
	if o.tenant != "" {
		w.add(o.tenant)
	}
	w.nobody, w.several = w.nobody || o.nobody, w.several || o.several
}

// way notes that a device leads to another namespace.
func (j *judge) way(k known) {
	other := k.device.Lower.NetNS
	if k.edge != pair || other == 0 || other == j.inode {
		return
	}
	if j.snap.ways == nil {
		j.snap.ways, j.snap.ports = map[uint32]way{}, map[uint32][]uint32{}
	}
	w := j.snap.ways[other]
	if j.now.Before(k.own.doubt) {
		w.add("")
	} else {
		w.add(k.own.tenant)
	}
	j.snap.ways[other] = w
	j.snap.ports[other] = append(j.snap.ports[other], k.device.Index)
}

// derive finds out whose the namespace is, if it is reached only through ports of one tenant.
// It is unsure if it is not known where all its devices lead.
func (j *judge) derive() (id string, unsure bool) {
	var w way
	common := j.n.common
	for _, inode := range common {
		if inode != j.inode {
			w.merge(j.v.judged(j.v.space(inode), j.now).ways[j.inode])
		}
	}
	if w.tenant == "" {
		return "", false // it is nobody's in any case
	}
	for _, k := range j.snap.devices {
		below := k.device.Lower
		switch {
		case !k.seen.Equal(j.snap.listed) || below.NetNS == j.inode:
		case below.NetNS == 0:
			unsure = unsure || k.edge == pair
		case slices.Contains(common, below.NetNS):
			there, ok := j.v.judged(j.v.space(below.NetNS), j.now).devices[below.Index]
			if unsure = unsure || !ok; ok {
				w.add(there.own.tenant)
			}
		default:
			if role, _ := j.v.roleOf(j.n, below.NetNS); role != "" && role != sharedRole {
				w.add(role)
			}
		}
	}
	if unsure || w.nobody || w.several {
		return "", unsure
	}
	return w.tenant, false
}

// matchNames calls found with the references that mean a device by one of its names.
func matchNames(set *tenant.Set, name string, others []string, found func(*tenant.Ref)) {
	set.MatchUplink(name, found)
	set.MatchPort(name, found)
	for _, other := range others {
		set.MatchUplink(other, found)
		set.MatchPort(other, found)
	}
}
