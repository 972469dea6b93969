// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// pairKey is what a pair is made of. One with another key is another pair.
type pairKey struct {
	Series
	inode             uint32
	interval, timeout time.Duration
	size              int
}

// plan is what is to be sent.
type plan struct {
	pairs               []pairKey
	unresolved          []string
	overLimit, notOwned int
}

// budget is what one owner of probes may still send.
type budget struct {
	rate  float64
	pairs int
}

// allow takes a pair from the budget, if it fits.
func (b *budget) allow(interval time.Duration) bool {
	rate := float64(time.Second) / float64(interval)
	if b.pairs < 1 || b.rate < rate {
		return false
	}
	b.pairs--
	b.rate -= rate
	return true
}

// rounding is what sums of rates may be off by.
const rounding = 1e-9

// budgets returns what each owner may send.
func (l Limits) budgets(probes []Probe) map[string]*budget {
	all := map[string]*budget{}
	for i := range probes {
		all[probes[i].Tenant] = &budget{}
	}
	tenants := len(all)
	if all[""] != nil {
		tenants--
	}
	for id, b := range all {
		*b = budget{rate: l.Rate + rounding, pairs: l.Pairs}
		if id != "" {
			b.rate = min(l.TenantRate, l.Rate/float64(tenants)) + rounding
			b.pairs = l.Pairs / tenants
		}
	}
	return all
}

// makePlan looks up what the probes mean now.
func makePlan(probes []Probe, limits Limits, where Namespaces) *plan {
	out := &plan{}
	budgets := limits.budgets(probes)
	for i := range probes {
		p := &probes[i]
		for _, from := range out.namespaces(p, where) {
			if p.Tenant != "" && from.tenant != p.Tenant {
				out.notOwned += len(p.Targets)
				continue
			}
			out.add(p, from, budgets[p.Tenant])
		}
	}
	slices.Sort(out.unresolved)
	out.unresolved = slices.Compact(out.unresolved)
	return out
}

// found is a namespace that a probe means.
type found struct {
	inode        uint32
	name, tenant string
}

// namespaces returns those that a probe means, each once, by name: so it is always the same
// ones that exceed a limit.
func (o *plan) namespaces(p *Probe, where Namespaces) []found {
	var all []found
	for _, ref := range p.NetNS {
		inodes := where.Find(ref)
		if len(inodes) == 0 {
			o.unresolved = append(o.unresolved, p.title()+": "+ref)
		}
		for _, inode := range inodes {
			if !slices.ContainsFunc(all, func(f found) bool { return f.inode == inode }) {
				ns := where.NetNS(inode)
				all = append(all, found{inode, ns.Name, ns.Tenant})
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.inode, b.inode))
	})
	return all
}

// add plans the pairs of a namespace.
func (o *plan) add(p *Probe, from found, left *budget) {
	var added []netip.Addr
	for _, target := range p.Targets {
		if slices.Contains(added, target) {
			continue
		}
		added = append(added, target)
		if !left.allow(p.Interval) {
			o.overLimit++
			continue
		}
		o.pairs = append(o.pairs, pairKey{
			Series: Series{Probe: p.Name, Tenant: p.Tenant, NetNS: from.name, Target: target},
			inode:  from.inode, interval: p.Interval, timeout: p.Timeout, size: p.Size,
		})
	}
}

// title says which probe it is.
func (p *Probe) title() string {
	if p.Tenant != "" {
		return p.Tenant + "/" + p.Name
	}
	return p.Name
}
