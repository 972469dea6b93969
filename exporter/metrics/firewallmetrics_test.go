// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

func ruleOf(id int, verdict string, packets uint64) FirewallRule {
	return FirewallRule{
		FirewallRuleKey: FirewallRuleKey{Network: "ipv4", Chain: "FORWARD", UUID: fmt.Sprint("uuid-", id), Verdict: verdict, Place: "tc"},
		Packets:         packets, Bytes: packets * 84,
	}
}

func TestFirewallMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, func() AgentStats {
		return AgentStats{Firewalls: []TenantFirewall{
			{Tenant: "blue"},
			{
				Tenant: "red", Problems: 1, Unattached: 2, Changes: 3, Failures: 4, Repairs: 5,
				Rules: []FirewallRule{ruleOf(1, "drop", 6)},
				Ports: []FirewallPort{
					{Port: "tap0", Packets: 10, Passed: 5, Dropped: 3, Deferred: map[string]uint64{"ttl": 1, "fragment": 1}, Seconds: 1e-7},
					{Port: "tap1", Packets: 1, Deferred: map[string]uint64{"ttl": 1}},
				},
			},
		}}
	}))
	rule := func(id, chain string) string {
		return "dwell_firewall_chain=" + chain + " dwell_firewall_place=tc dwell_firewall_verdict=drop dwell_tenant_id=red network_type=ipv4 security_rule_uuid=" + id
	}
	for family, want := range map[string]map[string]float64{
		"dwell_firewall_packets_total": {rule("uuid-1", "FORWARD"): 6},
		"dwell_firewall_bytes_total":   {rule("uuid-1", "FORWARD"): 504},
		"dwell_firewall_port_packets_total": {
			"dwell_firewall_verdict=pass dwell_tenant_id=red network_interface_name=tap0":  5,
			"dwell_firewall_verdict=drop dwell_tenant_id=red network_interface_name=tap0":  3,
			"dwell_firewall_verdict=defer dwell_tenant_id=red network_interface_name=tap0": 2,
			"dwell_firewall_verdict=defer dwell_tenant_id=red network_interface_name=tap1": 1,
		},
		"dwell_firewall_deferred_total": {
			"dwell_firewall_reason=ttl dwell_tenant_id=red": 2, "dwell_firewall_reason=fragment dwell_tenant_id=red": 1,
		},
		"dwell_firewall_program_duration_seconds": {"dwell_tenant_id=red network_interface_name=tap0": 1e-7},
		"dwell_firewall_problems":                 {"dwell_tenant_id=red": 1},
		"dwell_firewall_ports_unattached":         {"dwell_tenant_id=red": 2},
		"dwell_firewall_repairs_total":            {"dwell_tenant_id=red": 5},
		"dwell_firewall_changes_total": {
			"dwell_tenant_id=red result=success": 3, "dwell_tenant_id=red result=failure": 4,
		},
	} {
		if diff := cmp.Diff(want, notZero(values(t, registry, family))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", family, diff)
		}
	}
}

// Whatever rules come and go: there are only so many series, none decreases, and what they sum up
// to is what all rules have counted.
func TestRulesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := ruleCounts{max: rapid.IntRange(0, 130).Draw(t, "max")}
		counts, gone := map[string]map[int]uint64{"red": {}, "blue": {}}, map[string]uint64{}
		next := 0
		before := map[string]map[FirewallRuleKey]uint64{}
		for range rapid.IntRange(1, 6).Draw(t, "scrapes") {
			var all []TenantFirewall
			for _, tenant := range []string{"blue", "red"} {
				rules := counts[tenant]
				for range rapid.SampledFrom([]int{0, 3, 120}).Draw(t, "new") {
					next++
					rules[next] = 0
				}
				f := TenantFirewall{Tenant: tenant}
				for id := range next + 1 {
					n, there := rules[id]
					if !there {
						continue
					}
					if rapid.IntRange(0, 9).Draw(t, "fate") == 0 {
						gone[tenant] += n
						delete(rules, id)
						continue
					}
					rules[id] = n + rapid.Uint64Range(0, 5).Draw(t, "packets")
					f.Rules = append(f.Rules, ruleOf(id, "drop", rules[id]))
				}
				all = append(all, f)
			}
			all = c.fold(all)
			series := 0
			for _, f := range all {
				now := map[FirewallRuleKey]uint64{}
				var sum, want uint64
				for _, r := range f.Rules {
					if now[r.FirewallRuleKey] = r.Packets; r.UUID != RuleOther {
						series++
					}
					if r.Packets < before[f.Tenant][r.FirewallRuleKey] {
						t.Fatalf("%v decreases", r)
					}
					sum += r.Packets
				}
				for _, n := range counts[f.Tenant] {
					want += n
				}
				if len(f.Rules) > MaxRuleSeries+1 || sum < want || sum > want+gone[f.Tenant] {
					t.Fatalf("%s: %d series with %d packets, %d were counted, %d by rules that are gone", f.Tenant, len(f.Rules), sum, want, gone[f.Tenant])
				}
				before[f.Tenant] = now
			}
			if series > c.max {
				t.Fatalf("%d series, at most %d are allowed", series, c.max)
			}
		}
	})
}

// Rules that drop have series before others, and what a rule without one counts goes to the rest of
// its verdict.
func TestRulesThatDropComeFirst(t *testing.T) {
	var rules []FirewallRule
	for i := range 2 * MaxRuleSeries {
		rules = append(rules, ruleOf(i, []string{"pass", "drop"}[i%2], 1))
	}
	f := []TenantFirewall{{Tenant: "red", Rules: rules}}
	c := ruleCounts{max: DefaultMaxSeries}
	f = c.fold(f)
	sums := map[string]uint64{}
	for _, r := range f[0].Rules {
		sums[r.Verdict+" "+strings.TrimRight(r.UUID, "0123456789")] += r.Packets
	}
	if diff := cmp.Diff(map[string]uint64{"drop uuid-": MaxRuleSeries, "drop other": 0, "pass other": MaxRuleSeries}, sums); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Rules that say the same have one UUID, and so one series; when one of them is gone, it does not
// decrease.
func TestEqualRules(t *testing.T) {
	c := ruleCounts{max: DefaultMaxSeries}
	for i, want := range []uint64{5, 5, 6} {
		rules := [][]FirewallRule{{ruleOf(1, "drop", 2), ruleOf(1, "drop", 3)}, {ruleOf(1, "drop", 2)}, {ruleOf(1, "drop", 3)}}[i]
		f := c.fold([]TenantFirewall{{Tenant: "red", Rules: rules}})
		if got := f[0].Rules[0]; got.Packets != want || got.Bytes != want*84 || len(f[0].Rules) != 2 {
			t.Errorf("%d: %v, want %d packets", i, f[0].Rules, want)
		}
	}
}

// A tenant that is no longer there leaves its series to others.
func TestSeriesOfATenantThatIsGone(t *testing.T) {
	c := ruleCounts{max: 1}
	for _, id := range []string{"red", "blue"} {
		f := []TenantFirewall{{Tenant: id, Rules: []FirewallRule{ruleOf(1, "drop", 1)}}}
		f = c.fold(f)
		if len(f[0].Rules) != 2 || f[0].Rules[0].UUID != "uuid-1" {
			t.Errorf("%s: %v", id, f[0].Rules)
		}
	}
}
