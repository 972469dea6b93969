// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"path/filepath"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// verdict says whose something is, by the references that mean it.
type verdict struct {
	// first is the first reference, other the first of another tenant: then it is nobody's.
	first, other *tenant.Ref
}

// add takes another reference into account.
func (v *verdict) add(ref *tenant.Ref) {
	switch {
	case v.first == nil:
		v.first = ref
	case v.other == nil && v.first.Tenant != ref.Tenant:
		v.other = ref
	}
}

// merge takes all references of another verdict into account.
func (v *verdict) merge(o verdict) {
	if o.first != nil {
		v.add(o.first)
	}
	if o.other != nil {
		v.add(o.other)
	}
}

// owner returns the ID of the tenant, or "" if there are none or several.
func (v *verdict) owner() string {
	if v.first == nil || v.other != nil {
		return ""
	}
	return v.first.Tenant
}

func (v *verdict) none() bool     { return v.first == nil }
func (v *verdict) conflict() bool { return v.other != nil }

// naming says whose namespaces are, by their names and containers. It does not change.
type naming struct {
	version uint64
	owners  map[uint32]verdict
	shared  map[uint32]bool
	// common are the namespaces in which there may be ports.
	common []uint32
	// matched are the references that mean a namespace.
	matched map[*tenant.Ref]bool
}

// called is a namespace and what it is called.
type called struct {
	inode     uint32
	names     []string
	container trace.Container
}

// called returns the namespaces that have names, or belong to containers, and those.
func (f *finder) called() []called {
	seen := f.sight.Load()
	all := make([]called, 0, len(seen.aliases)+len(seen.owners)+1)
	all = append(all, called{inode: f.inode, names: []string{HostName}})
	for inode, names := range seen.aliases {
		c := called{inode: inode, names: names}
		c.container = f.own(seen, inode, place{}).container
		all = append(all, c)
	}
	for inode := range seen.owners {
		if _, ok := seen.aliases[inode]; !ok {
			all = append(all, called{inode: inode, container: f.own(seen, inode, place{}).container})
		}
	}
	return all
}

// newNaming resolves the references to namespaces.
func newNaming(set *tenant.Set, f *finder, version uint64) *naming {
	n := &naming{
		version: version, owners: map[uint32]verdict{}, shared: map[uint32]bool{}, matched: map[*tenant.Ref]bool{},
	}
	for _, c := range f.called() {
		for _, name := range c.names {
			n.named(set, c.inode, name)
		}
		if c.container.ID != "" {
			n.contained(set, c)
		}
	}
	for _, ref := range set.Special() {
		if inode := special(ref.Name); inode != 0 {
			n.note(inode, ref)
		}
	}
	return n
}

func (n *naming) named(set *tenant.Set, inode uint32, name string) {
	set.MatchNetNS(name, func(ref *tenant.Ref) { n.note(inode, ref) })
	set.MatchShared(name, func(ref *tenant.Ref) { n.note(inode, ref) })
}

func (n *naming) contained(set *tenant.Set, c called) {
	title := c.container.Title()
	n.named(set, c.inode, title)
	for _, name := range distinct(c.container.ID, title, c.container.Name, c.container.Pod.Name) {
		set.MatchContainer(name, func(ref *tenant.Ref) { n.note(c.inode, ref) })
	}
}

// distinct returns the names that are not empty, each once.
func distinct(names ...string) []string {
	var all []string
next:
	for _, name := range names {
		for _, before := range all {
			if before == name {
				continue next
			}
		}
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

func (n *naming) note(inode uint32, ref *tenant.Ref) {
	n.matched[ref] = true
	if ref.Tenant == "" {
		n.shared[inode] = true
		return
	}
	v := n.owners[inode]
	v.add(ref)
	n.owners[inode] = v
}

// special returns the namespace that a path or the number of a process means, unless a
// namespace has that number as its name, or 0.
func special(ref string) uint32 {
	if filepath.Base(ref) != ref {
		return netns.MountedInode(ref)
	}
	if netns.MountedInode(filepath.Join(netns.Dir, ref)) != 0 {
		return 0
	}
	return netns.MountedInode(fmt.Sprintf("/proc/%s/ns/net", ref))
}

// resolved returns what the special references mean, to find out whether that has changed.
func resolved(set *tenant.Set) []uint32 {
	var inodes []uint32
	for _, ref := range set.Special() {
		inodes = append(inodes, special(ref.Name))
	}
	return inodes
}
