// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// List returns the tenant's rules and counters.
func (m *Manager) List(ctx context.Context, id string) (*Listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, st, err := m.tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	m.count(ctx, t, m.reading())
	l := &Listing{Tenant: id, Ports: t.portListings(st), Problems: m.problems(t)}
	for _, f := range families() {
		l.Families = append(l.Families, t.familyListing(f, st))
	}
	return l, nil
}

func (t *kept) familyListing(f header.Family, st *scope.Tenant) FamilyListing {
	l := FamilyListing{Family: int(f), Place: IPTables, Reason: noRules}
	n := t.plans[f]
	if n != nil {
		l.Place, l.Reason = n.whole()
		l.Reason = sentences(l.Reason, unseen(st))
		for _, d := range []*diagram.Diagram{n.ingress, n.forward} {
			if d != nil {
				l.Nodes += len(d.Nodes)
			}
		}
		l.Bytes = l.Nodes * diagram.NodeBytes
	}
	for _, c := range t.text(f).chains.List {
		chain := ChainListing{Name: c.Name, Policy: c.Policy, Rules: []RuleListing{}}
		if c.Policy == "" {
			chain.Policy = "-"
		}
		if c.Name == base {
			count := t.meter.shown(f, 0)
			chain.Packets, chain.Bytes = count.Packets, count.Bytes
		}
		for i := range c.Rules {
			chain.Rules = append(chain.Rules, t.ruleListing(n, c.Name, i))
		}
		l.Chains = append(l.Chains, chain)
	}
	return l
}

// ruleListing describes the rule at an index of a chain.
func (t *kept) ruleListing(n *plan, chain string, i int) RuleListing {
	r := n.text.chains.Get(chain).Rules[i]
	count := t.meter.shown(n.family, r.ID)
	l := RuleListing{
		Number: i + 1, ID: r.ID, Text: r.String(),
		Packets: count.Packets, Bytes: count.Bytes,
	}
	l.UUID = ruleUUID(t.id, n.family, chain, l.Text)
	l.Place, l.Reason = n.placeAt(chain, i)
	return l
}

// portListings describe the tenant's ports, if there is anything to judge.
func (t *kept) portListings(st *scope.Tenant) []PortListing {
	list := []PortListing{}
	if t.programs == nil {
		return list
	}
	counts, err := t.programs.Ports()
	t.problem("ports", errorText(err))
	for _, p := range st.Ports {
		l := PortListing{Port: p.Name, Attached: t.ports[p.Index], Deferred: map[string]uint64{}}
		for _, c := range counts {
			if c.Index != p.Index {
				continue
			}
			l.Packets, l.Passed, l.Dropped, l.Nanoseconds = c.Packets, c.Passed, c.Dropped, c.Nanoseconds
			for reason, n := range c.Deferred {
				l.Deferred[reason.String()] = n
			}
		}
		list = append(list, l)
	}
	return list
}

// Stats returns counts for metrics, in order of tenants.
func (m *Manager) Stats(ctx context.Context) []TenantStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]TenantStats, 0, len(m.tenants))
	now := m.reading()
	for _, t := range m.all() {
		m.count(ctx, t, now)
		st := m.scopeOf(t)
		s := TenantStats{Tenant: t.id, Repairs: t.repairs, Transactions: t.done, Failures: t.failed, Unattached: len(t.unattached), Ports: t.portListings(st)}
		s.Problems = len(m.problems(t))
		for _, f := range families() {
			if n := t.plans[f]; n != nil {
				s.Rules = append(s.Rules, t.ruleStats(n)...)
			}
		}
		all = append(all, s)
	}
	return all
}

func (t *kept) ruleStats(n *plan) []RuleStats {
	var all []RuleStats
	for _, c := range n.text.chains.List {
		set := n.set.Chains[c.Name]
		for i, r := range c.Rules {
			count := t.meter.total(n.family, r.ID)
			place, _ := n.placeAt(c.Name, i)
			s := RuleStats{
				Family: int(n.family), Chain: c.Name, ID: r.ID, UUID: ruleUUID(t.id, n.family, c.Name, r.String()),
				Verdict: "none", Place: place, Packets: count.Packets, Bytes: count.Bytes,
			}
			switch set.Rules[i].Action {
			case ruleset.Accept:
				s.Verdict = "pass"
			case ruleset.Deny:
				s.Verdict = "drop"
			}
			if r.Target.Name == "REJECT" {
				s.Verdict = "drop"
			}
			all = append(all, s)
		}
		if c.Name == base {
			count, place := t.meter.total(n.family, 0), TC
			if n.why != "" {
				place = IPTables
			}
			verdict := "pass"
			if c.Policy == "DROP" {
				verdict = "drop"
			}
			all = append(all, RuleStats{Family: int(n.family), Chain: c.Name, Verdict: verdict, Place: place, Packets: count.Packets, Bytes: count.Bytes})
		}
	}
	return all
}
