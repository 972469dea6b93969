// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// pairKey is what a pair is made of. One with another key is another pair.
type pairKey struct {
	Series
	inode             uint32
	interval, timeout time.Duration
	size              int
}

// of reports whether a namespace is still the one from which the pair was planned.
func (k *pairKey) of(ns *trace.NetNS) bool {
	return ns.Name == k.NetNS && (k.Tenant == "" || ns.Tenant == k.Tenant)
}

// plan is what is to be sent.
type plan struct {
	pairs []pairKey
	// left is what is not, by whose it is.
	left map[string]*leftOut
}

// leftOut is what is not sent of one owner of probes.
type leftOut struct {
	// unresolved are references that match no namespace, and foreign those of a tenant that match
	// only others'; both with the name of the probe.
	unresolved, foreign []string
	// overLimit and notOwned are numbers of pairs.
	overLimit, notOwned int
}

// of returns what is left out of an owner.
func (o *plan) of(tenant string) *leftOut {
	if o.left[tenant] == nil {
		o.left[tenant] = &leftOut{}
	}
	return o.left[tenant]
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
	out := &plan{left: map[string]*leftOut{}}
	budgets := limits.budgets(probes)
	for i := range probes {
		p := &probes[i]
		for _, from := range out.namespaces(p, where) {
			if !p.may(from) {
				out.of(p.Tenant).notOwned += len(p.Targets)
				continue
			}
			out.add(p, from, budgets[p.Tenant])
		}
	}
	return out
}

// found is a namespace that a probe means.
type found struct {
	inode        uint32
	name, tenant string
}

// may reports whether a probe may be sent from a namespace.
func (p *Probe) may(from found) bool { return p.Tenant == "" || from.tenant == p.Tenant }

// namespaces returns those that a probe means, each once, by name: so it is always the same
// ones that exceed a limit.
func (o *plan) namespaces(p *Probe, where Namespaces) []found {
	var all []found
	for _, ref := range p.NetNS {
		inodes := where.Find(ref)
		own := false
		for _, inode := range inodes {
			ns := where.NetNS(inode)
			from := found{inode, ns.Name, ns.Tenant}
			own = own || p.may(from)
			if !slices.ContainsFunc(all, func(f found) bool { return f.inode == inode }) {
				all = append(all, from)
			}
		}
		switch left := o.of(p.Tenant); {
		case len(inodes) == 0:
			left.unresolved = append(left.unresolved, p.title()+": "+ref)
		case !own:
			left.foreign = append(left.foreign, p.title()+": "+ref)
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
			o.of(p.Tenant).overLimit++
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
