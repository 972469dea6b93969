// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/ovsdb"
)

// currentOwned is [Inventory.current] with tenants: what is known must be sure, too.
func (v *Inventory) currentOwned(t *tenancy, s *space, now time.Time, ask asker) *snapshot {
	t.vms.refresh(t.set, now)
	v.links.read(now)
	snap := s.snapshot.Load()
	if v.fresh(s, snap, now) && !s.touched.any.Load() {
		snap = v.judged(s, now)
	} else {
		n := urgent
		if !s.touched.any.Load() {
			n = v.needOf(s, snap, now)
		}
		snap = ask(s, n)
	}
	if snap.owner.role != "" || !snap.found {
		return snap
	}
	// It may be reached through a port that has just been made.
	n := v.naming(t)
	for _, inode := range n.common {
		c := v.space(inode)
		switch known := c.snapshot.Load(); {
		case c == s:
		case c.touched.any.Load():
			ask(c, urgent)
		case !v.fresh(c, known, now):
			ask(c, v.needOf(c, known, now))
		}
	}
	return v.judged(s, now)
}

// sureNetNS returns the snapshot's namespace, or one that no tenant sees if it may be another
// one by now.
func (v *Inventory) sureNetNS(s *space, snap *snapshot) *trace.NetNS {
	if v.sure(s, snap) {
		return snap.netns
	}
	v.doubtful.Add(1)
	ns, _ := s.doubts.of(snap.netns, nil)
	return ns
}

func (v *Inventory) sure(s *space, snap *snapshot) bool {
	ns := snap.netns
	return ns.Tenant == "" && !ns.Shared || !snap.found ||
		v.same(s, snap, v.cfg.Now()) && !(snap.owner.derived && v.waysTouched(s.inode))
}

// waysTouched reports whether one of the ports through which a namespace is reached may be
// somebody else's by now.
func (v *Inventory) waysTouched(inode uint32) bool {
	t := v.tenancy.Load()
	if t == nil {
		return false
	}
	for _, there := range v.naming(t).common {
		c := v.space(there)
		if !c.touched.any.Load() {
			continue
		}
		snap := c.snapshot.Load()
		for _, index := range snap.ports[inode] {
			if hangsOn(snap.devices, index, c.touched.has) {
				return true
			}
		}
	}
	return false
}

// sureDevice returns a device of the snapshot, or one that no tenant sees if it may be another
// one, or somebody else's, by now.
func (v *Inventory) sureDevice(s *space, snap *snapshot, d *trace.Device) *trace.Device {
	if v.sureOf(s, snap, d.Index) {
		return d
	}
	v.doubtful.Add(1)
	_, d = s.doubts.of(snap.netns, d)
	return d
}

// sureOf reports whether it is sure whose the device with the index is.
func (v *Inventory) sureOf(s *space, snap *snapshot, index uint32) bool {
	return v.sure(s, snap) && !(snap.netns.Shared && s.touched.any.Load() && hangsOn(snap.devices, index, s.touched.has))
}

// doubts are descriptions by which no tenant sees what is described, so that the same is the
// same pointer.
type doubts struct {
	mu        sync.Mutex
	known, ns *trace.NetNS // the namespace as it is known, and without its tenant
	devices   map[*trace.Device]*trace.Device
}

// of returns the descriptions of a namespace and of a device in it.
func (c *doubts) of(ns *trace.NetNS, d *trace.Device) (*trace.NetNS, *trace.Device) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != ns || len(c.devices) >= maxPlaceholders {
		copied := *ns
		copied.Tenant, copied.Shared = "", false
		c.known, c.ns, c.devices = ns, &copied, map[*trace.Device]*trace.Device{}
	}
	if d == nil {
		return c.ns, nil
	}
	doubtful, ok := c.devices[d]
	if !ok {
		copied := *d
		copied.NetNS, copied.Tenant, copied.Unattributed = c.ns, "", true
		doubtful = &copied
		c.devices[d] = doubtful
	}
	return c.ns, doubtful
}

// identify notes whether the snapshot is of another namespace than the one before, which had
// the same number.
func (s *snapshot) identify(old *snapshot, cookie uint64) {
	if cookie == 0 {
		return
	}
	s.cookie, s.reused = cookie, old.cookie != 0 && old.cookie != cookie
}

// unplaced returns the ports of Open vSwitch whose bridges are not known for certain, because
// the database did not say so.
func unplaced(l listing, known *ovsdb.Bridges) map[int]bool {
	if len(l.ports) == 0 {
		return nil
	}
	ports, system := map[int]bool{}, datapathOf(l.links)
	for _, link := range l.links {
		a := link.Attrs()
		named := known != nil && known.Of(a.Name) != ""
		if isPort(link, system) && !named && l.bridges[a.Index] != a.Name { // a bridge is its own
			ports[a.Index] = true
		}
	}
	return ports
}

// unask notes the ports of Open vSwitch about which there were notifications: the database
// must be asked about them again before it is known on which bridges they are.
func (s *space) unask(l listing, taken notified) {
	if len(l.ports) == 0 {
		return
	}
	system := datapathOf(l.links)
	for _, link := range l.links {
		index := link.Attrs().Index
		if isPort(link, system) && taken.has(uint32(index)) {
			if s.unasked == nil {
				s.unasked = map[int]bool{}
			}
			s.unasked[index] = true
		}
		if s.unasked[index] {
			l.unplaced[index] = true
		}
	}
}

// watchLinks begins to read notifications about a namespace in which there may be ports. It
// reports false if there are tenants and that is not possible.
func (v *Inventory) watchLinks(s *space, path string) bool {
	t := v.tenancy.Load()
	if t == nil {
		return true
	}
	if role, _ := v.roleOf(v.naming(t), s.inode); role != sharedRole {
		return true
	}
	return v.links.watch(s, func() (fd int, err error) {
		if s.inode == v.self {
			return v.links.open()
		}
		ns, err := netns.Open(path)
		if err != nil {
			return -1, err
		}
		defer ns.Close()
		if ns.Inode() != s.inode {
			return -1, ErrGone
		}
		err = ns.Do(func() error {
			fd, err = v.links.open()
			return err
		})
		return fd, err
	})
}

// releaseLinks stops reading notifications about namespaces that are gone, and exist only
// because of that, or that are not shared any more.
func (v *Inventory) releaseLinks(t *tenancy) {
	common, titles := map[uint32]bool{}, v.finder.titles()
	for _, inode := range v.naming(t).common {
		_, common[inode] = titles[inode]
	}
	v.links.keep(func(inode uint32) bool { return common[inode] })
}
