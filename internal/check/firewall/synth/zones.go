// SPDX-License-Identifier: Apache-2.0

package synth

import (
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// zoneRules is how many rules a zone has.
const zoneRules = 40

// zones are chains of a common shape: who is known may go on, a list of services for all, hosts with
// services of their own, and a last rule.
func (g *maker) zones(r *Rules, n int) {
	r.Policy = ruleset.Drop
	add := func(rule Rule) bool {
		if len(r.List) < n {
			r.List = append(r.List, rule)
		}
		return len(r.List) < n
	}
	established := []header.CT{header.Established, header.Related}
	add(Rule{Chain: Base, States: established, Action: ruleset.Accept})
	add(Rule{Chain: Base, States: []header.CT{header.Invalid}, Action: ruleset.Deny})
	for z := 0; len(r.List) < n; z++ {
		name, net := fmt.Sprintf("zone%d", z), uint32(ten|z<<12)
		jump := Rule{Chain: Base, Destination: prefix(net, 20), Action: ruleset.Jump, Target: name}
		if z%8 == 7 {
			jump.Action = ruleset.Goto
		}
		if len(r.List)+2 > n { // no jump to a chain without a rule
			add(Rule{Chain: Base, Proto: header.ICMP, Action: ruleset.Accept})
			return
		}
		add(jump)
		g.zone(add, name, net)
	}
}

func (g *maker) zone(add func(Rule) bool, name string, net uint32) {
	own := func(rule Rule) bool {
		rule.Chain = name
		return add(rule)
	}
	own(Rule{Source: prefix(net, 20), Action: ruleset.Accept})
	own(Rule{Proto: header.ICMP, Action: ruleset.Accept})
	own(Rule{Source: prefix(192<<24|168<<16, 16), Action: ruleset.Return})
	own(Rule{Proto: header.TCP, Dport: header.Values(22, 80, 443, 8080), Action: ruleset.Accept})
	for range zoneRules - 6 {
		rule := Rule{Destination: prefix(net|g.Uint32N(1<<12), 32), Proto: header.TCP, Action: ruleset.Accept}
		switch g.IntN(4) {
		case 0:
			rule.Proto = header.UDP
			rule.Dport = header.Values(53, 123, 161)
		case 1:
			rule.Source = prefix(ten|g.Uint32N(64)<<12, 20)
			rule.Dport = header.Range(5000, 5100)
		case 2:
			rule.Dport = header.Values(25, 143, 465, 587, 993)
		default:
			rule.Source = prefix(ten|g.Uint32N(64)<<12, 20)
			rule.Action = ruleset.Deny
		}
		if !own(rule) {
			return
		}
	}
	own(Rule{Proto: header.TCP, Action: ruleset.Deny})
}
