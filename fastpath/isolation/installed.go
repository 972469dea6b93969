// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"strings"

	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// framePrefix is how the names of dwell's own chains in the host's iptables begin: see package
// netfilter.
const framePrefix = "dwell"

// Installed compares what stands in the host's table filter before and after a change of a tenant's
// rules, and returns a packet of others' that FORWARD may now treat differently, or nil: then nobody
// else is affected. exact is as in [Difference].
//
// Jumps that only lead to tenants' chains, and that every packet may pass, are not seen as a difference.
func Installed(host *scope.Host, tenant string, before, after *iptables.Save) (w *Witness, exact bool) {
	s := NewSpace(before.Family, host, deviceNames(append(allRules(before), allRules(after)...)))
	h := forward()
	found := s.Differ(s.hook(before, h), s.hook(after, h), s.Others(tenant, h), DefaultSteps)
	if found == nil {
		return nil, true
	}
	show := shower{space: s, host: host, tenant: tenant, hook: h}
	return show.show([]Cell{found.Cell}), found.Exact
}

// hook returns the rules that stand at a hook.
func (s *Space) hook(save *iptables.Save, h Hook) *Rules {
	rules := &Rules{Base: h.Chain, Chains: map[string][]Rule{}}
	table := save.Table(h.Table)
	if table == nil {
		return rules
	}
	for _, c := range table.Chains {
		if c.Name == h.Chain && c.Policy == "DROP" {
			rules.Policy = ruleset.Drop
		}
		list := make([]Rule, 0, len(c.Rules))
		for _, r := range c.Rules {
			rule := s.lower(r)
			if leads(c.Name, r) {
				rule.Key = ""
			}
			list = append(list, rule)
		}
		rules.Chains[c.Name] = list
	}
	return rules
}

// leads reports whether a rule is one of dwell's that only leads to the tenants' chains.
func leads(chain string, r *iptables.Rule) bool {
	own := func(name string) bool { return name == framePrefix || strings.HasPrefix(name, framePrefix+"-") }
	return r.Target.Kind == iptables.ToChain && own(r.Target.Name) && (chain == forward().Chain || chain == framePrefix)
}
