// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// Everything that the firewall counts is in the metrics.
func TestFirewallMetrics(t *testing.T) {
	deferred := map[string]uint64{"fragment": 1}
	got := firewallMetrics([]firewall.TenantStats{{
		Tenant: "red", Problems: 1, Repairs: 2, Transactions: 3, Failures: 4, Unattached: 5,
		Rules: []firewall.RuleStats{
			{Family: 4, Chain: "FORWARD", ID: 6, UUID: "u", Verdict: "drop", Place: firewall.TC, Packets: 7, Bytes: 8},
			{Family: 6, Chain: "FORWARD", Verdict: "pass", Place: firewall.IPTables, Packets: 9, Bytes: 10},
		},
		Ports: []firewall.PortListing{{Port: "tap", Attached: "tcx", Packets: 11, Passed: 12, Dropped: 13, Deferred: deferred, Nanoseconds: 150}},
	}})
	want := []metrics.TenantFirewall{{
		Tenant: "red", Problems: 1, Repairs: 2, Changes: 3, Failures: 4, Unattached: 5,
		Rules: []metrics.FirewallRule{
			{FirewallRuleKey: metrics.FirewallRuleKey{Network: "ipv4", Chain: "FORWARD", UUID: "u", Verdict: "drop", Place: "tc"}, Packets: 7, Bytes: 8},
			{FirewallRuleKey: metrics.FirewallRuleKey{Network: "ipv6", Chain: "FORWARD", UUID: "policy", Verdict: "pass", Place: "iptables"}, Packets: 9, Bytes: 10},
		},
		Ports: []metrics.FirewallPort{{Port: "tap", Packets: 11, Passed: 12, Dropped: 13, Deferred: deferred, Seconds: 150e-9}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if (&daemon{}).firewallStats() != nil {
		t.Error("there are firewalls without a firewall")
	}
}
