// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// verdicts are the names of what a firewall decided.
var verdicts = map[uint16]string{
	event.VerdictPass: trace.VerdictPass, event.VerdictDrop: trace.VerdictDrop, event.VerdictDefer: trace.VerdictDefer,
}

// firewallAttrs returns the attributes of what a tenant's firewall said of a packet.
func (b *builder) firewallAttrs(a *event.Action) []trace.Attr {
	verdict, reason := verdictOf(a), a.Reason
	attrs := []trace.Attr{
		trace.String(trace.AttrRuleCategory, "firewall"),
		trace.String(trace.AttrFirewallVerdict, verdict),
	}
	if a.Place != event.NoPlace {
		attrs = append(attrs, trace.String(trace.AttrFirewallPlace, a.Place.String()))
	}
	if name := b.reasonName(reason); name != "" {
		attrs = append(attrs, trace.String(trace.AttrFirewallReason, name))
	}
	if a.Tenant != 0 {
		attrs = append(attrs, trace.Int(trace.AttrTenantNumber, int64(a.Tenant)))
	}
	if a.Rule != 0 {
		attrs = append(attrs, trace.Int(trace.AttrRule, int64(a.Rule)))
	}
	if a.Nanoseconds != 0 {
		attrs = append(attrs, trace.Int(trace.AttrFirewallNS, int64(a.Nanoseconds)))
	}
	rule := b.opts.Rules.Rule(a.Tenant, a.Rule)
	if a.Rule == 0 && verdict != trace.VerdictPass && verdict != trace.VerdictDrop {
		rule.Chain = "" // no rule was reached, nor the policy
	}
	return append(attrs, ruleAttrs(rule)...)
}

// ruleAttrs returns the attributes of a rule, as far as it is known.
func ruleAttrs(r trace.Rule) []trace.Attr {
	var attrs []trace.Attr
	some := func(key, value string) {
		if value != "" {
			attrs = append(attrs, trace.String(key, value))
		}
	}
	some(trace.AttrTenantID, r.Tenant)
	some(trace.AttrRulesetName, r.Tenant)
	some(trace.AttrRuleName, r.Name())
	some(trace.AttrRuleUUID, r.UUID)
	some(trace.AttrRuleDescription, r.Text)
	some(trace.AttrFirewallChain, r.Chain)
	if r.Chain != "" && r.Number != 0 {
		attrs = append(attrs, trace.Int(trace.AttrFirewallRule, int64(r.Number)))
	}
	return attrs
}

// verdictOf names a verdict. Iptables is the last to be asked: what it would leave to another
// is what cannot be known.
func verdictOf(a *event.Action) string {
	name := verdicts[a.Verdict]
	if name == "" || name == trace.VerdictDefer && a.Place == event.AtIPTables {
		return trace.VerdictUnknown
	}
	return name
}

// reasonName names a reason: one of this package's, or one of the programs'.
func (b *builder) reasonName(reason uint16) string {
	if name := event.UnknownReason(reason).String(); name != "" || reason == 0 {
		return name
	}
	return b.opts.Rules.Reason(reason)
}
