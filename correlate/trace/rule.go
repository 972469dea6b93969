// SPDX-License-Identifier: Apache-2.0

package trace

import "strconv"

// Rule is a rule of a tenant's firewall, as it was when the packet was judged. What is not
// known is empty.
type Rule struct {
	// Tenant is the ID of the tenant whose rule it is.
	Tenant string
	// Chain is the tenant's own name of the chain, and Number the rule's place in it, from 1;
	// 0 is the chain's policy.
	Chain  string
	Number uint32
	// UUID distinguishes the rule from all others, and Text is what it says, as iptables-save
	// prints it.
	UUID, Text string
}

// Name returns, for example, "FORWARD 3" or "FORWARD policy", or "" if it is not known.
func (r Rule) Name() string {
	switch {
	case r.Chain == "":
		return ""
	case r.Number == 0:
		return r.Chain + " policy"
	}
	return r.Chain + " " + strconv.FormatUint(uint64(r.Number), 10)
}

// The values of [AttrFirewallVerdict].
const (
	// VerdictPass: the tenant's rules have no objection; others' are still asked.
	VerdictPass = "pass"
	// VerdictDrop: the packet was dropped because of the rule.
	VerdictDrop = "drop"
	// VerdictDefer: whoever judged left it to the next who does.
	VerdictDefer = "defer"
	// VerdictUnknown: the packet died, and whether the rule is why cannot be known.
	VerdictUnknown = "unknown"
)

// Dropped returns the event that says that a firewall's rule dropped the packet in the span at
// index i or in one below it, or nil.
func (t *Trace) Dropped(i int) *Event {
	for n, end := i, t.After(i); n < end; n++ {
		s := &t.Spans[n]
		if s.Error == "" {
			continue
		}
		for k := range s.Events {
			if e := &s.Events[k]; e.Name == EventFirewall && e.Text(AttrFirewallVerdict) == VerdictDrop {
				return e
			}
		}
	}
	return nil
}

// Text returns the value of an attribute that is a string, or "".
func (e *Event) Text(key string) string {
	for _, a := range e.Attrs {
		if a.Key == key {
			return a.Str
		}
	}
	return ""
}

// Blame says whose rule decided and where, for example "red's FORWARD rule 3 (tc)", from the
// attributes of an [EventFirewall]. It is "" if the rule is not known.
func (e *Event) Blame() string {
	chain, tenant := e.Text(AttrFirewallChain), e.Text(AttrTenantID)
	if chain == "" || tenant == "" {
		return ""
	}
	rule := chain + " policy"
	for _, a := range e.Attrs {
		if a.Key == AttrFirewallRule && a.Int > 0 {
			rule = chain + " rule " + strconv.FormatInt(a.Int, 10)
			if e.Text(AttrFirewallVerdict) == VerdictUnknown {
				rule += " or a later one"
			}
		}
	}
	if place := e.Text(AttrFirewallPlace); place != "" {
		rule += " (" + place + ")"
	}
	return tenant + "'s " + rule
}
