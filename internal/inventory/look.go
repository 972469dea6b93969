// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
)

// look scans the namespace. It does so again if that showed devices about which something
// is to be found out elsewhere, and something was.
func (v *Inventory) look(s *space) {
	l := v.scan(s)
	learned := false
	if l.lost && v.finder.scanAgain(v.cfg.Now()) {
		learned = true
	}
	if v.switches.ask(l.ports, v.cfg.Now) {
		learned = true
	}
	if len(s.unasked) > 0 && v.switches.askAgain(v.cfg.Now) {
		s.unasked, learned = nil, true
	}
	if learned {
		v.scan(s)
	}
}

// listing is what the kernel says about the devices of a namespace.
type listing struct {
	links []netlink.Link
	// neighbours are the namespaces that hold parents of the devices, lost is set if there
	// is one that was not found.
	neighbours map[int]neighbour
	lost       bool
	// ports are the names of those that belong to Open vSwitch.
	ports []string
	// bridges are those of the devices, unplaced are the ports of Open vSwitch among them whose
	// bridge is not known for certain.
	bridges  map[int]string
	unplaced map[int]bool
	// cookie is the namespace's, or 0 if it was not asked for.
	cookie uint64
}

// scan finds the namespace, lists its devices and replaces the snapshot. Only one scan of
// a namespace is under way at a time.
func (v *Inventory) scan(s *space) listing {
	start := v.cfg.Now()
	generation := v.generation() // if names are read again for this, the look counts as one before that
	where, found, thorough := v.finder.find(s.inode, start)
	var l listing
	var err error
	is, _ := identityOf(where.path, s.inode) // before the look: it is of that or an earlier one
	watched := !found || v.watchLinks(s, where.path)
	taken := s.touched.take()
	if found {
		l, err = v.list(s, where.path)
	}
	seen := found && err == nil
	if seen {
		v.complete.Add(1)
	} else {
		v.failed.Add(1)
	}
	if !watched {
		s.touched.addAll()
	}
	now := v.cfg.Now()
	rest := now.Add(max(v.cfg.MinInterval, Rest*now.Sub(start)))
	l.bridges = bridgesOf(l.links, v.switches.known())
	l.unplaced = unplaced(l, v.switches.known())
	s.unask(l, taken)
	for { // until the namespace's role has not changed meanwhile
		old := s.snapshot.Load()
		snap := &snapshot{
			netns: old.netns, devices: old.devices, neighbours: l.neighbours,
			looked: start, generation: generation, rest: rest, since: old.since, tunnels: tunnelsOf(l.links),
			facts: old.facts, owner: old.owner, ways: old.ways, ports: old.ports, cookie: old.cookie, path: where.path, identity: is, thorough: thorough,
		}
		if !found {
			if snap.gone = old.gone; snap.gone.IsZero() {
				snap.gone = start
			}
		} else {
			snap.found = true
			snap.identify(old, l.cookie)
			if !where.describes(snap.netns) {
				snap.netns = v.netns(s.inode, where)
			}
			if !old.found || snap.netns != old.netns {
				snap.since = start
			}
			snap.devices, snap.listed = merge(snap, old, l, now), now
		}
		snap.moved = taken.some
		v.attribute(s.inode, snap, now)
		if s.snapshot.CompareAndSwap(old, snap) {
			break
		}
	}
	s.touched.done(seen)
	v.assignRole(s)
	return l
}

// list lists the devices of the namespace at path, if it is still the one. The
// namespace is not held any longer than that takes.
func (v *Inventory) list(s *space, path string) (listing, error) {
	nl, cookie, err := v.netlink(s.inode, path)
	if err != nil {
		return listing{}, err
	}
	defer nl.Close()
	if err := nl.SetSocketTimeout(netlinkTimeout); err != nil {
		return listing{}, err
	}
	// A list that changed while it was read is returned with an error.
	links, err := nl.LinkList()
	l := listing{links: links, ports: portsOf(links), cookie: cookie}
	l.neighbours, l.lost = v.neighbours(nl, s.snapshot.Load(), links, v.cfg.Now())
	return l, err
}

// netlink opens the namespace at path, if it is still the one, and returns its cookie if
// there are tenants.
func (v *Inventory) netlink(inode uint32, path string) (nl *netlink.Handle, cookie uint64, err error) {
	if inode == v.self {
		nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return nl, 0, err // the process's own is never another one
	}
	ns, err := netns.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer ns.Close()
	if ns.Inode() != inode {
		return nil, 0, unix.ESTALE
	}
	if v.tenancy.Load() != nil {
		_ = ns.Do(func() error { cookie = cookieHere(); return nil })
	}
	nl, err = ns.Netlink()
	return nl, cookie, err
}

// merge makes the devices of a snapshot: those that are there, as the same
// pointers if nothing about them changed, and those that went lately. None is
// taken over from a namespace of another name, which had the number before.
func merge(snap, old *snapshot, l listing, now time.Time) map[uint32]known {
	ns := snap.netns
	devices := make(map[uint32]known, len(l.links))
	if old.netns == ns && !snap.reused {
		for index, k := range old.devices {
			if now.Sub(k.seen) < retain {
				devices[index] = k
			}
		}
	}
	for _, link := range l.links {
		below := linkageOf(link)
		d := device(ns, link, below.lower(ns.Inode, l.neighbours), l.bridges[link.Attrs().Index])
		k := devices[d.Index]
		if k.device != nil && alike(*k.device, *d) {
			d = k.device
		}
		devices[d.Index] = known{
			device: d, others: link.Attrs().AltNames, seen: now, linkage: below,
			edge: edgeOf(link), unplaced: l.unplaced[link.Attrs().Index], master: link.Attrs().MasterIndex, own: k.own,
		}
	}
	return devices
}

// alike reports whether two devices are the same, apart from whose they are.
func alike(a, b trace.Device) bool {
	a.Tenant, a.Unattributed, b.Tenant, b.Unattributed = "", false, "", false
	return a == b
}

// device describes a link.
func device(ns *trace.NetNS, link netlink.Link, lower trace.Place, bridge string) *trace.Device {
	a := link.Attrs()
	return &trace.Device{NetNS: ns, Index: uint32(a.Index), Name: a.Name, Bridge: bridge, Type: kind(link), Lower: lower}
}

// kind returns the kernel's name of the type of a link (IFLA_INFO_KIND), "" if it has none.
func kind(link netlink.Link) string {
	switch link.(type) {
	case *netlink.Device:
		return "" // the library says "device"
	case *netlink.Tuntap:
		return "tun" // the library says "tuntap"
	}
	return link.Type()
}
