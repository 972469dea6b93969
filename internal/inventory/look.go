// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
)

// netlinkTimeout bounds a request to the kernel, in a namespace whose locks are held by
// another process.
const netlinkTimeout = 2 * time.Second

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
}

// scan finds the namespace, lists its devices and replaces the snapshot. Only one scan of
// a namespace is under way at a time.
func (v *Inventory) scan(s *space) listing {
	start := v.cfg.Now()
	generation := v.generation(start)
	where, found := v.finder.find(s.inode, start)
	var l listing
	var err error
	if found {
		l, err = v.list(s, where.path)
	}
	if found && err == nil {
		v.complete.Add(1)
	} else {
		v.failed.Add(1)
	}
	now := v.cfg.Now()
	rest := now.Add(max(v.cfg.MinInterval, restFactor*now.Sub(start)))
	bridges := bridgesOf(l.links, v.switches.known())
	for { // until the namespace's role has not changed meanwhile
		old := s.snapshot.Load()
		snap := &snapshot{
			netns: old.netns, devices: old.devices, neighbours: l.neighbours,
			looked: start, generation: generation, rest: rest, since: old.since, tunnels: tunnelsOf(l.links),
		}
		if found {
			snap.found = true
			if !where.describes(snap.netns) {
				snap.netns = v.netns(s.inode, where)
			}
			if !old.found || snap.netns != old.netns {
				snap.since = start
			}
			snap.devices, snap.listed = merge(snap.netns, old, l, bridges, now), now
		}
		if s.snapshot.CompareAndSwap(old, snap) {
			break
		}
	}
	v.assignRole(s)
	return l
}

// list lists the devices of the namespace at path, if it is still the one. The
// namespace is not held any longer than that takes.
func (v *Inventory) list(s *space, path string) (listing, error) {
	nl, err := v.netlink(s.inode, path)
	if err != nil {
		return listing{}, err
	}
	defer nl.Close()
	if err := nl.SetSocketTimeout(netlinkTimeout); err != nil {
		return listing{}, err
	}
	// A list that changed while it was read is returned with an error.
	links, err := nl.LinkList()
	l := listing{links: links, ports: portsOf(links)}
	l.neighbours, l.lost = v.neighbours(nl, s.snapshot.Load(), links, v.cfg.Now())
	return l, err
}

func (v *Inventory) netlink(inode uint32, path string) (*netlink.Handle, error) {
	if inode == v.self {
		return netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	ns, err := netns.Open(path)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if ns.Inode() != inode {
		return nil, unix.ESTALE
	}
	return ns.Netlink()
}

// merge makes the devices of a snapshot: those that are there, as the same
// pointers if nothing about them changed, and those that went lately. None is
// taken over from a namespace of another name, which had the number before.
func merge(ns *trace.NetNS, old *snapshot, l listing, bridges map[int]string, now time.Time) map[uint32]known {
	devices := make(map[uint32]known, len(l.links))
	if old.netns == ns {
		for index, k := range old.devices {
			if now.Sub(k.seen) < retain {
				devices[index] = k
			}
		}
	}
	for _, link := range l.links {
		below := linkageOf(link)
		d := device(ns, link, below.lower(ns.Inode, l.neighbours), bridges[link.Attrs().Index])
		if k, ok := devices[d.Index]; ok && *k.device == *d {
			d = k.device
		}
		devices[d.Index] = known{device: d, others: link.Attrs().AltNames, seen: now, linkage: below}
	}
	return devices
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
