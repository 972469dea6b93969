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

// look finds the namespace, lists its devices and replaces the snapshot. Only one scan of
// a namespace is under way at a time.
func (v *Inventory) look(s *space) {
	start := v.cfg.Now()
	generation := v.generation(start)
	where, found := v.finder.find(s.inode, start)
	var links []netlink.Link
	var err error
	if found {
		links, err = v.links(s.inode, where.path)
	}
	if found && err == nil {
		v.complete.Add(1)
	} else {
		v.failed.Add(1)
	}
	now := v.cfg.Now()
	rest := now.Add(max(v.cfg.MinInterval, restFactor*now.Sub(start)))
	for { // until the namespace's role has not changed meanwhile
		old := s.snapshot.Load()
		snap := &snapshot{netns: old.netns, devices: old.devices, looked: start, generation: generation, rest: rest}
		if found {
			snap.found = true
			if !where.describes(snap.netns) {
				snap.netns = v.netns(s.inode, where)
			}
			snap.devices = merge(snap.netns, old, links, now)
		}
		if s.snapshot.CompareAndSwap(old, snap) {
			break
		}
	}
	v.assignRole(s)
}

// links lists the devices of the namespace at path, if it is still the one. The
// namespace is not held any longer than that takes.
func (v *Inventory) links(inode uint32, path string) ([]netlink.Link, error) {
	nl, err := v.netlink(inode, path)
	if err != nil {
		return nil, err
	}
	defer nl.Close()
	if err := nl.SetSocketTimeout(netlinkTimeout); err != nil {
		return nil, err
	}
	// A list that changed while it was read is returned with an error.
	return nl.LinkList()
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
func merge(ns *trace.NetNS, old *snapshot, links []netlink.Link, now time.Time) map[uint32]known {
	devices := make(map[uint32]known, len(links))
	if old.netns == ns {
		for index, k := range old.devices {
			if now.Sub(k.seen) < retain {
				devices[index] = k
			}
		}
	}
	bridges := map[int]string{}
	for _, l := range links {
		if l.Type() == "bridge" {
			bridges[l.Attrs().Index] = l.Attrs().Name
		}
	}
	for _, l := range links {
		d := device(ns, l.Attrs(), bridges)
		if k, ok := devices[d.Index]; ok && *k.device == *d {
			d = k.device
		}
		devices[d.Index] = known{d, now}
	}
	return devices
}

// device describes a link. A bridge belongs to itself.
func device(ns *trace.NetNS, a *netlink.LinkAttrs, bridges map[int]string) *trace.Device {
	d := &trace.Device{NetNS: ns, Index: uint32(a.Index), Name: a.Name, Bridge: bridges[a.Index]}
	if d.Bridge == "" {
		d.Bridge = bridges[a.MasterIndex]
	}
	return d
}
