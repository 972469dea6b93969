// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// ruleCounts bounds the series of tenants' rules. A rule keeps its series for as long as it is
// there; what the others count is added to the series of the rest, which never decreases when a
// rule gets or loses a series.
type ruleCounts struct {
	max int

	mu      sync.Mutex
	tenants map[string]*tenantRules
	// series is how many rules have series, of all tenants.
	series int
}

// tenantRules are the rules of one tenant.
type tenantRules struct {
	// last is what each rule had counted when it was last seen.
	last map[FirewallRuleKey]FirewallRule
	// own are the rules that have series of their own, with what these show.
	own map[FirewallRuleKey]FirewallRule
	// rest sums up the others, by verdict, place and network.
	rest map[FirewallRuleKey]FirewallRule
}

// fold returns firewalls of which the rules are those that have series and the sums of the rest.
func (c *ruleCounts) fold(firewalls []TenantFirewall) []TenantFirewall {
	firewalls = slices.Clone(firewalls)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants == nil {
		c.tenants = map[string]*tenantRules{}
	}
	there := map[string]bool{}
	for i := range firewalls {
		there[firewalls[i].Tenant] = true
	}
	for id, t := range c.tenants {
		if !there[id] {
			c.series -= len(t.own)
			delete(c.tenants, id)
		}
	}
	for i := range firewalls {
		f := &firewalls[i]
		t := c.tenants[f.Tenant]
		if t == nil {
			t = &tenantRules{own: map[FirewallRuleKey]FirewallRule{}, rest: map[FirewallRuleKey]FirewallRule{}}
			c.tenants[f.Tenant] = t
		}
		f.Rules = c.ofTenant(t, merge(f.Rules))
	}
	return firewalls
}

// ofTenant returns the rules of a tenant that have series, and the sums of the rest.
func (c *ruleCounts) ofTenant(t *tenantRules, rules []FirewallRule) []FirewallRule {
	now := make(map[FirewallRuleKey]FirewallRule, len(rules))
	for _, r := range rules {
		now[r.FirewallRuleKey] = r
	}
	for key := range t.own {
		if _, there := now[key]; !there {
			delete(t.own, key)
			c.series--
		}
	}
	// The first drop of the rest is to be an increase.
	t.add(FirewallRule{FirewallRuleKey: FirewallRuleKey{Network: "ipv4", Verdict: trace.VerdictDrop, Place: "tc"}})
	var out []FirewallRule
	for _, r := range rules {
		key := r.FirewallRuleKey
		before, known := t.last[key]
		shown, own := t.own[key]
		if !own && !known && len(t.own) < MaxRuleSeries && c.series < c.max {
			own = true
			c.series++
		}
		r.Packets, r.Bytes = since(before.Packets, r.Packets), since(before.Bytes, r.Bytes)
		if !own {
			t.add(r)
			continue
		}
		r.Packets, r.Bytes = shown.Packets+r.Packets, shown.Bytes+r.Bytes
		t.own[key] = r
		out = append(out, r)
	}
	t.last = now
	for _, r := range t.rest {
		out = append(out, r)
	}
	return out
}

// add adds counts to the rest.
func (t *tenantRules) add(r FirewallRule) {
	r.Chain, r.UUID = "", RuleOther
	sum := t.rest[r.FirewallRuleKey]
	sum.FirewallRuleKey = r.FirewallRuleKey
	sum.Packets, sum.Bytes = sum.Packets+r.Packets, sum.Bytes+r.Bytes
	t.rest[r.FirewallRuleKey] = sum
}

// since returns by how much a count has grown. It is less than before when one of several rules
// that say the same, and so have one UUID, is gone.
func since(before, now uint64) uint64 { return now - min(before, now) }

// merge adds up rules that nothing distinguishes, and returns them in order.
func merge(rules []FirewallRule) []FirewallRule {
	sorted := slices.SortedFunc(slices.Values(rules), byWeight)
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && out[n-1].FirewallRuleKey == r.FirewallRuleKey {
			out[n-1].Packets, out[n-1].Bytes = out[n-1].Packets+r.Packets, out[n-1].Bytes+r.Bytes
			continue
		}
		out = append(out, r)
	}
	return out
}
