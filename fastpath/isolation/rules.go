// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Rule is a rule at a hook.
type Rule struct {
	// Key is what tells the rule from others, such as its text. "" is for a jump that only
	// leads to rules and whose counter is nobody's.
	Key string
	// Cells are the packets that the rule matches, or, if it is Unknown, may match.
	Cells   []Cell
	Unknown bool
	Action  ruleset.Action
	Target  string
}

// Rules are all rules at a hook.
type Rules struct {
	// Base is the chain in which judging begins, and Policy what is said at its end.
	Base   string
	Policy ruleset.Verdict
	Chains map[string][]Rule
}

// lower returns a rule as a set at the hook.
func (s *Space) lower(r *iptables.Rule) Rule {
	bare := *r
	bare.In, bare.Out = iptables.Interface{}, iptables.Interface{}
	lowered, _ := bare.Lower(func(string, bool) (from, to iptables.Truth) { return iptables.Unknown, iptables.Unknown })
	rule := Rule{Key: r.String(), Unknown: lowered.Unknown, Action: lowered.Action, Target: lowered.Target}
	in, out := s.Named(r.In), s.Named(r.Out)
	for _, box := range lowered.Boxes {
		if c := (Cell{Box: box, In: in, Out: out}); !c.empty() {
			rule.Cells = append(rule.Cells, c)
		}
	}
	return rule
}
