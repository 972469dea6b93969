// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// TenantFirewall is how the firewall of one tenant is.
type TenantFirewall struct {
	Tenant string
	// Problems is how much is not as it should be, Unattached the number of ports without a
	// program although programs decide.
	Problems, Unattached int
	// Changes are commands and files that were put in force, Failures those that could not
	// be. Repairs is how often what others had changed was put back.
	Changes, Failures, Repairs uint64
	// Rules are counts by rule, and Ports of the programs at TC by port.
	Rules []FirewallRule
	Ports []FirewallPort
}

// FirewallRule is the counts of a rule, or of the policy of a chain.
type FirewallRule struct {
	FirewallRuleKey
	Packets, Bytes uint64
}

// FirewallRuleKey distinguishes the counts of a tenant's rules.
type FirewallRuleKey struct {
	// Network is "ipv4" or "ipv6".
	Network string
	Chain   string
	// UUID is the rule's, or [RulePolicy] or [RuleOther].
	UUID string
	// Verdict is what the rule says of the packet, or "none" if it only counts or jumps.
	Verdict string
	// Place is "tc" if programs decide, or "iptables".
	Place string
}

// Values of the label security_rule_uuid that are no UUIDs.
const (
	// RulePolicy is the policy of the chain.
	RulePolicy = "policy"
	// RuleOther is all rules that have no series of their own.
	RuleOther = "other"
)

// FirewallPort is the counts of the program at one port.
type FirewallPort struct {
	Port                     string
	Packets, Passed, Dropped uint64
	// Deferred are packets that the program has left to the next who judges, by reason.
	Deferred map[string]uint64
	// Seconds is the mean time that the program takes for a packet, 0 if that is not known.
	Seconds float64
}

// MaxRuleSeries is how many rules of one tenant have series of their own.
const MaxRuleSeries = 100

// firewallMetrics are about the firewalls of tenants.
func firewallMetrics() []agentMetric {
	rule := []string{
		trace.AttrTenantID, trace.AttrNetworkType, trace.AttrFirewallChain, trace.AttrRuleUUID, trace.AttrFirewallVerdict, trace.AttrFirewallPlace,
	}
	return []agentMetric{
		ofRules("dwell.firewall.packets", "{packet}", rule, "Packets that a rule of a tenant's firewall has matched, as iptables -vnL counts them. "+
			"security_rule.uuid is \"policy\" for the policy of a chain, and \"other\" for all rules without series of their own: those beyond the first 100 of a tenant, of which those that drop come first. "+
			"dwell.firewall.verdict is \"none\" for a rule that only counts or jumps.",
			func(r *FirewallRule) uint64 { return r.Packets }),
		ofRules("dwell.firewall.bytes", "By", rule, "The bytes of those packets.",
			func(r *FirewallRule) uint64 { return r.Bytes }),
		ofFirewalls("dwell.firewall.port.packets", Counter, "{packet}", []string{trace.AttrNetworkInterface, trace.AttrFirewallVerdict},
			"Packets that the program at a tenant's port has judged.",
			func(f *TenantFirewall, emit func(float64, ...string)) {
				for _, p := range f.Ports {
					emit(float64(p.Passed), p.Port, trace.VerdictPass)
					emit(float64(p.Dropped), p.Port, trace.VerdictDrop)
					emit(float64(p.Packets-min(p.Packets, p.Passed+p.Dropped)), p.Port, trace.VerdictDefer)
				}
			}),
		ofFirewalls("dwell.firewall.deferred", Counter, "{packet}", []string{trace.AttrFirewallReason},
			"Packets that the programs at a tenant's ports have left to FORWARD, by reason.", deferred),
		ofFirewalls("dwell.firewall.program.duration", Gauge, "s", []string{trace.AttrNetworkInterface},
			"Mean time that the program at a tenant's port takes for a packet, measured for one packet in many.",
			func(f *TenantFirewall, emit func(float64, ...string)) {
				for _, p := range f.Ports {
					if p.Seconds > 0 {
						emit(p.Seconds, p.Port)
					}
				}
			}),
		ofFirewalls("dwell.firewall.problems", Gauge, "{problem}", nil,
			"What is currently not as it should be with a tenant's firewall: rules not in force, a port without a program. dwell firewall list says what.",
			func(f *TenantFirewall, emit func(float64, ...string)) { emit(float64(f.Problems)) }),
		ofFirewalls("dwell.firewall.ports.unattached", Gauge, "{port}", nil,
			"Ports of a tenant that currently have no program, so that iptables decides about their packets.",
			func(f *TenantFirewall, emit func(float64, ...string)) { emit(float64(f.Unattached)) }),
		ofFirewalls("dwell.firewall.repairs", Counter, "{repair}", nil,
			"Times that something of a tenant's firewall that others had changed was put back.",
			func(f *TenantFirewall, emit func(float64, ...string)) { emit(float64(f.Repairs)) }),
		ofFirewalls("dwell.firewall.changes", Counter, "{change}", []string{"result"},
			`Changes of a tenant's rules. result is "success" or "failure"; a refused command is neither.`,
			func(f *TenantFirewall, emit func(float64, ...string)) {
				emit(float64(f.Changes), ResultSuccess)
				emit(float64(f.Failures), ResultFailure)
			}),
	}
}

// deferred adds the ports of a tenant up, for each reason.
func deferred(f *TenantFirewall, emit func(float64, ...string)) {
	sum := map[string]uint64{}
	for _, p := range f.Ports {
		for reason, n := range p.Deferred {
			sum[reason] += n
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(sum)) {
		emit(float64(sum[reason]), reason)
	}
}

// ofFirewalls makes a metric of each tenant's firewall, with the tenant as its first label.
func ofFirewalls(name string, i Instrument, unit string, labels []string, meaning string, read func(f *TenantFirewall, emit func(float64, ...string))) agentMetric {
	return agentMetric{
		Definition: Definition{
			Name: name, Instrument: i, Unit: unit, Meaning: meaning, Agent: true,
			Attributes: append([]string{trace.AttrTenantID}, labels...),
		},
		read: func(s AgentStats, emit func(float64, ...string)) {
			for k := range s.Firewalls {
				f := &s.Firewalls[k]
				read(f, func(value float64, labels ...string) { emit(value, append([]string{f.Tenant}, labels...)...) })
			}
		},
	}
}

// ofRules makes a counter of each rule.
func ofRules(name, unit string, labels []string, meaning string, value func(*FirewallRule) uint64) agentMetric {
	return ofFirewalls(name, Counter, unit, labels[1:], meaning, func(f *TenantFirewall, emit func(float64, ...string)) {
		for k := range f.Rules {
			r := &f.Rules[k]
			emit(float64(value(r)), r.Network, r.Chain, r.UUID, r.Verdict, r.Place)
		}
	})
}

// byWeight puts rules that drop first, then in order of what distinguishes them.
func byWeight(a, b FirewallRule) int {
	weight := func(r FirewallRule) int {
		if r.Verdict == trace.VerdictDrop {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(a.Network, b.Network), cmp.Compare(a.Chain, b.Chain),
		cmp.Compare(a.UUID, b.UUID), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Place, b.Place))
}
