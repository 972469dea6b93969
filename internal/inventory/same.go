// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// identity is what distinguishes namespaces that have the same number one after the other, as
// far as that can be seen without entering them: the kernel makes a file for a namespace that
// says when it was made, and keeps it for as long as it is mounted. That of a process is made
// again each time, and so has none.
type identity struct {
	device uint64 // that of the kernel's files of namespaces
	made   unix.Timespec
}

// identityOf returns the identity of the namespace at path, where one was found a moment ago, if
// it still has the number.
func identityOf(path string, inode uint32) (identity, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || uint32(st.Ino) != inode {
		return identity{}, false
	}
	if strings.HasPrefix(path, "/proc/") {
		return identity{device: st.Dev}, true
	}
	return identity{st.Dev, st.Ctim}, true
}

// same reports whether a namespace that was found is, as of a moment ago, the one that was
// looked at then, under the name that it has there.
func (v *Inventory) same(s *space, snap *snapshot, now time.Time) bool {
	if checked := s.checked.Load(); checked != nil && checked.of == snap && now.Sub(checked.at) < checkInterval {
		return checked.same
	}
	is, ok := identityOf(snap.path, s.inode)
	ok = ok && is == snap.identity
	s.checked.Store(&check{of: snap, at: now, same: ok})
	return ok
}

// check is what same has found out about a snapshot.
type check struct {
	of   *snapshot
	at   time.Time
	same bool
}

// needOf says how much a look at a namespace matters that is not fresh.
func (v *Inventory) needOf(s *space, snap *snapshot, now time.Time) need {
	if snap.found && !snap.looked.IsZero() && v.same(s, snap, now) {
		return refresh
	}
	return urgent
}

// recall replaces what is known of a namespace that cannot be looked at now, if another one has
// its number: by its name, which takes no look, and without devices.
func (v *Inventory) recall(s *space, now time.Time) {
	old := s.snapshot.Load()
	if old.found && v.same(s, old, now) {
		return
	}
	where, found, _ := v.finder.find(s.inode, now)
	if !found { // it keeps its name for packets that were seen before
		return
	}
	is, ok := identityOf(where.path, s.inode)
	if !ok || old.found && is == old.identity && where.describes(old.netns) {
		return
	}
	ns := old.netns
	if !where.describes(ns) {
		ns = v.netns(s.inode, where)
	}
	snap := &snapshot{
		netns: ns, since: now, generation: old.generation, owner: old.owner, cookie: old.cookie,
		path: where.path, found: true, thorough: true, identity: is, reused: old.found,
	}
	v.attribute(s.inode, snap, now)
	s.snapshot.CompareAndSwap(old, snap) // otherwise there was a look meanwhile
}
