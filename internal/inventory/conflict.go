// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/internal/tenant"
)

// The kinds of what can belong to somebody.
const (
	netnsKind  = "network namespace"
	deviceKind = "device"
)

// Conflict is something that belongs to nobody, and that no tenant sees, because it is meant
// by references of two tenants, or is an uplink as well; or a hypervisor, which cannot belong to a tenant.
type Conflict struct {
	// NetNS is the name of the namespace, Device that of the device in it, or "" if it is about
	// the namespace.
	NetNS, Device string
	// First and Other are the references; Other is the zero Ref for a hypervisor.
	First, Other tenant.Ref
}

// String returns a sentence without its period.
func (c Conflict) String() string {
	what := fmt.Sprintf("%s %s", netnsKind, c.NetNS)
	if c.Device != "" {
		what = fmt.Sprintf("%s %s in %s", deviceKind, c.Device, what)
	}
	if c.Other.Name == "" {
		return fmt.Sprintf("%s is a hypervisor, and so does not belong to tenant %s (%s)", what, c.First.Tenant, &c.First)
	}
	return fmt.Sprintf("%s belongs to nobody, because %s and %s claim it", what, claimant(&c.First), claimant(&c.Other))
}

// claimant returns who has the reference, and the reference.
func claimant(ref *tenant.Ref) string {
	if ref.Tenant == "" {
		return fmt.Sprintf("all tenants (%s)", ref)
	}
	return fmt.Sprintf("tenant %s (%s)", ref.Tenant, ref)
}

func (c Conflict) compare(o Conflict) int {
	return cmp.Or(cmp.Compare(c.NetNS, o.NetNS), cmp.Compare(c.Device, o.Device), cmp.Compare(c.First.Name, o.First.Name))
}

// report notes a conflict.
func (j *judge) report(kind, device string, said verdict) {
	c := Conflict{NetNS: j.snap.netns.Name, Device: device, First: *said.first}
	if said.other != nil && (kind == deviceKind || !j.v.isHypervisor(j.inode)) {
		c.Other = *said.other
	}
	j.conflicts = append(j.conflicts, c)
}

// Tenants is how the references of tenants fit what there is.
type Tenants struct {
	// Count is how many tenants there are.
	Count int
	// Conflicts are in order.
	Conflicts []Conflict
	// Unmatched are the references that match nothing, in order of tenants.
	Unmatched []tenant.Ref
	// Doubtful counts the answers that said that something is nobody's, and that no tenant
	// may see it, because it was not sure whose it is.
	Doubtful uint64
}

// Tenants returns how the references of tenants fit what is known. It does not look again.
func (v *Inventory) Tenants() Tenants {
	report := Tenants{Doubtful: v.doubtful.Load()}
	t := v.tenancy.Load()
	if t == nil {
		return report
	}
	report.Count = t.set.Len()
	n := v.naming(t)
	matched := maps.Clone(n.matched)
	found := func(ref *tenant.Ref) { matched[ref] = true }
	t.vms.matched(found)
	common := n.common
	v.mu.RLock()
	spaces := maps.Clone(v.spaces)
	v.mu.RUnlock()
	for inode, s := range spaces {
		snap := v.judged(s, v.cfg.Now())
		if !snap.found {
			continue
		}
		report.Conflicts = append(report.Conflicts, snap.conflicts...)
		if slices.Contains(common, inode) {
			snap.match(t.set, found)
		}
	}
	slices.SortFunc(report.Conflicts, Conflict.compare)
	for _, ref := range t.set.Refs() {
		if !matched[ref] {
			report.Unmatched = append(report.Unmatched, *ref)
		}
	}
	return report
}

// match calls found with the references that mean the namespace's devices.
func (s *snapshot) match(set *tenant.Set, found func(*tenant.Ref)) {
	for _, k := range s.devices {
		if !k.seen.Equal(s.listed) {
			continue
		}
		matchNames(set, k.device.Name, k.others, found)
		if k.device.Bridge != "" {
			set.MatchBridge(k.device.Bridge, found)
		}
	}
}
