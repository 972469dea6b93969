// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxPlaceholders bounds the unknown devices remembered of one namespace, so that the same number
// is the same pointer.
const maxPlaceholders = 1024

// space is what is known of one namespace.
type space struct {
	inode    uint32
	snapshot atomic.Pointer[snapshot]

	mu           sync.Mutex
	underway     chan struct{} // closed when the look that was granted is done
	deadline     time.Time     // how long to wait for it
	placeholders map[uint32]*trace.Device
	doubts       doubts
	// unasked are ports of Open vSwitch, by index, that may have been moved since its database
	// was asked. Only the look that is under way uses it.
	unasked map[int]bool

	// touched are devices that may have changed since the last look; it is only used with
	// tenants.
	touched touched
	// checked is what was last found out about the snapshot without a look.
	checked atomic.Pointer[check]
}

// snapshot is what one look saw. It does not change.
type snapshot struct {
	netns   *trace.NetNS
	devices map[uint32]known
	// neighbours are the namespaces in which parents of the devices are, by the identifiers
	// that this namespace has for them.
	neighbours map[int]neighbour
	// tunnels is what the devices say about UDP ports.
	tunnels map[uint16]Tunnel
	// generation is the inventory's before the look.
	generation uint64
	// looked is when the look began, zero if there was none yet; no other is to
	// begin before rest.
	looked, rest time.Time
	// since is when the namespace was first seen as it is described here.
	since time.Time
	// listed is when the devices were listed; those seen before it are gone.
	listed time.Time
	// found is set if the namespace was there.
	found bool

	// path is where the namespace was found, cookie its number that no other has, or 0.
	// With thorough it was looked for everywhere; gone is when it was not found first, and
	// reused is set if another namespace had the number before.
	path     string
	identity identity
	cookie   uint64
	thorough bool
	gone     time.Time
	reused   bool
	// moved says which devices had another name or bridge since the last look; it is empty
	// once that was taken into account.
	moved map[uint32]bool

	// What follows is about tenants. facts is the number of what it was concluded from, 0 if
	// there were no tenants, and by is those that there were; recheck is when it must be
	// concluded again, or zero.
	facts   uint64
	by      *tenancy
	recheck time.Time
	owner   spaceOwner
	// ways says to whom what leads to other namespaces belongs, ports by number what that is.
	ways      map[uint32]way
	ports     map[uint32][]uint32
	conflicts []Conflict
}

// known is a device, when it was last seen, and what netlink said about its parent.
type known struct {
	device *trace.Device
	// others are its alternative names.
	others  []string
	seen    time.Time
	linkage linkage
	// edge is what it leads to; unplaced is set for a port of Open vSwitch whose bridge is not
	// known for certain.
	edge     edge
	master   int
	unplaced bool
	own      ownership
}

func newSpace(inode uint32, ns *trace.NetNS) *space {
	s := &space{inode: inode, placeholders: map[uint32]*trace.Device{}}
	s.snapshot.Store(&snapshot{netns: ns})
	return s
}

// placeholder returns a device that is named by its number. Its owner is that of the
// namespace, and unsure says that there may be another one.
func (s *space) placeholder(ns *trace.NetNS, ifindex uint32, unsure bool) *trace.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.placeholders[ifindex]
	if d != nil && d.NetNS == ns && d.Unattributed == unsure {
		return d
	}
	if len(s.placeholders) >= maxPlaceholders {
		clear(s.placeholders)
	}
	d = &trace.Device{
		NetNS: ns, Index: ifindex, Name: "if" + strconv.FormatUint(uint64(ifindex), 10),
		Tenant: ns.Tenant, Unattributed: unsure,
	}
	s.placeholders[ifindex] = d
	return d
}

// asker has a namespace looked at, waits for that or not, and returns what is known then.
type asker func(*space, need) *snapshot

// current returns what is known of the namespace, and asks for another look if that is too old.
func (v *Inventory) current(s *space, ask asker) *snapshot {
	now := v.cfg.Now()
	if t := v.tenancy.Load(); t != nil {
		return v.currentOwned(t, s, now, ask)
	}
	snap := s.snapshot.Load()
	if v.fresh(s, snap, now) {
		return v.judged(s, now)
	}
	return ask(s, v.needOf(s, snap, now))
}

// fresh reports whether what is known is as good as after another look.
func (v *Inventory) fresh(s *space, snap *snapshot, now time.Time) bool {
	return snap.found && now.Sub(snap.looked) < v.cfg.MaxAge && snap.generation == v.generation() && v.same(s, snap, now)
}

func waitFor(done <-chan struct{}, limit time.Duration) {
	if limit <= 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
