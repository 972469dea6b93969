// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dwelltrace/dwell/internal/tenant"
)

// tenancy is what is known of tenants. What is said of one set of them is forgotten with it.
type tenancy struct {
	set *tenant.Set
	vms *machines

	current atomic.Pointer[naming]

	mu       sync.Mutex // held while names are resolved
	resolved []uint32
}

// SetTenants says what belongs to whom from now on; nil or an empty set is nobody. It may be
// called at any time. Answers given before do not change, and what is known is attributed
// anew when it is next asked for.
//
// An answer only says that something belongs to a tenant, or that all may see it, if that is
// sure. For a while after it has come to belong to somebody else, it belongs to nobody,
// because packets that were seen before may still be asked about: see Config.Settle.
func (v *Inventory) SetTenants(set *tenant.Set) {
	var t *tenancy
	if set.Len() > 0 {
		t = &tenancy{set: set, vms: &machines{dir: v.cfg.LibvirtDir, changes: &v.base}}
		t.resolved = resolved(set)
	}
	v.judgeAll() // what changes hands is then in doubt, even if it was not asked about
	v.tenancy.Store(t)
	v.base.Add(1)
	if t == nil {
		v.links.close()
		return
	}
	t.vms.refresh(set, v.cfg.Now())
}

// HasTenants reports whether there are tenants.
func (v *Inventory) HasTenants() bool { return v.tenancy.Load() != nil }

// facts returns a number that is another one when an answer about tenants may be. It is
// never 0.
func (v *Inventory) facts() uint64 {
	n := 1 + v.base.Load() + v.finder.changes.Load()
	if v.finder.names != nil {
		n += v.finder.names.Answers()
	}
	return n
}

// resolveTenants looks for what the references to namespaces mean that are paths or numbers.
func (v *Inventory) resolveTenants() {
	t := v.tenancy.Load()
	if t == nil {
		return
	}
	now := resolved(t.set)
	t.mu.Lock()
	if !slices.Equal(now, t.resolved) {
		t.resolved = now
		v.base.Add(1)
	}
	t.mu.Unlock()
	v.releaseLinks(t)
}

// naming returns whose namespaces are by their names, as of now.
func (v *Inventory) naming(t *tenancy) *naming {
	version := v.facts()
	if n := t.current.Load(); n != nil && n.version == version {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.current.Load(); n != nil && n.version == version {
		return n
	}
	n := newNaming(t.set, v.finder, version)
	n.common = v.common(n)
	t.current.Store(n)
	return n
}

// judged returns what is known of the namespace, with the tenants of now.
func (v *Inventory) judged(s *space, now time.Time) *snapshot {
	for {
		old := s.snapshot.Load()
		t := v.tenancy.Load()
		switch {
		case t == nil && old.facts == 0:
			return old
		case t != nil && old.by == t && old.facts == v.facts() && (old.recheck.IsZero() || now.Before(old.recheck)):
			return old
		}
		snap := *old
		v.attribute(s.inode, &snap, now)
		if s.snapshot.CompareAndSwap(old, &snap) {
			return &snap
		}
	}
}

// judgeAll attributes all that is known.
func (v *Inventory) judgeAll() {
	v.mu.RLock()
	spaces := slices.Collect(maps.Values(v.spaces))
	v.mu.RUnlock()
	for _, s := range spaces {
		v.judged(s, v.cfg.Now())
	}
}

// common returns the namespaces in which there may be ports and bridges of tenants: the
// hypervisors and those that are shared.
func (v *Inventory) common(n *naming) []uint32 {
	inodes := slices.Clone(*v.hypervisors.Load())
	for inode := range n.shared {
		if n.owners[inode].first == nil && !slices.Contains(inodes, inode) {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}
