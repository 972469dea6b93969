// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// sameNetNS is the identifier of the namespace that a device itself is in.
const sameNetNS = -1

// linkage is what netlink says about the device below another one, or at the other end of
// a pair: IFLA_LINK and IFLA_LINK_NETNSID, see rtnetlink(7).
type linkage struct {
	parent int // index, 0 if there is none
	// netnsid identifies the parent's namespace among those that the device's namespace
	// knows (RTM_GETNSID), or is sameNetNS.
	netnsid int
	// address is the device's own. A device made anew has another, usually.
	address string
}

func linkageOf(link netlink.Link) linkage {
	a := link.Attrs()
	k := linkage{parent: a.ParentIndex, netnsid: a.NetNsID, address: string(a.HardwareAddr)}
	if vx, ok := link.(*netlink.Vxlan); ok {
		k.parent = vx.VtepDevIndex // IFLA_VXLAN_LINK; it has no other
	} else if k.parent == a.Index && !slices.Contains(linked(), link.Type()) {
		k.parent = 0
	}
	return k
}

// linked returns the types that have a parent or a peer (ndo_get_iflink in the kernel). For
// others, it names the device itself as soon as it names another namespace.
func linked() []string {
	return []string{
		"veth", "netkit", "vxcan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "macsec",
		"gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm",
	}
}

// crosses reports whether the parent is in another namespace.
func (l linkage) crosses() bool { return l.parent > 0 && l.netnsid != sameNetNS }

// lower returns where the parent is, zero if that is not known.
func (l linkage) lower(inode uint32, others map[int]neighbour) trace.Place {
	if l.crosses() {
		inode = others[l.netnsid].inode
	}
	if l.parent <= 0 || inode == 0 {
		return trace.Place{}
	}
	return trace.Place{NetNS: inode, Index: uint32(l.parent)}
}

// neighbour is a namespace that another one knows by an identifier.
type neighbour struct {
	inode uint32
	// asked is when the kernel was asked for the identifier.
	asked time.Time
}

// neighbours returns the namespaces in which the parents of links are, by identifier, and
// whether there are any that cannot be found.
//
// The kernel only answers the opposite question, for the identifier of an open namespace.
// An answer therefore lasts for a while: the kernel removes a device whose parent's
// namespace is deleted, so an identifier is not given to another namespace as long as there
// is a device that uses it.
func (v *Inventory) neighbours(nl *netlink.Handle, old *snapshot, links []netlink.Link,
	now time.Time,
) (found map[int]neighbour, lost bool) {
	found, missing := map[int]neighbour{}, map[int]bool{}
	for _, l := range links {
		k := linkageOf(l)
		if !k.crosses() {
			continue
		}
		before, ok := old.neighbours[k.netnsid]
		if ok && now.Sub(before.asked) < retain && old.devices[uint32(l.Attrs().Index)].linkage == k {
			found[k.netnsid] = before
		}
		missing[k.netnsid] = true
	}
	for id := range found {
		delete(missing, id)
	}
	if len(missing) == 0 {
		return found, false
	}
	for where := range v.finder.places() {
		if id, ok := netnsid(nl, where); ok && missing[id] {
			found[id] = neighbour{where.inode, now}
			if delete(missing, id); len(missing) == 0 {
				return found, false
			}
		}
	}
	return found, true
}

// netnsid returns the identifier that the handle's namespace has for another one.
func netnsid(nl *netlink.Handle, other located) (int, bool) {
	fd, err := unix.Open(other.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || uint32(st.Ino) != other.inode {
		return 0, false
	}
	id, err := nl.GetNetNsIdByFd(fd)
	return id, err == nil && id >= 0
}
