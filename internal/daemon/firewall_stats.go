// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/fastpath/firewall"
)

// firewallStatsWithin bounds the time that reading the counters of rules may take.
const firewallStatsWithin = 5 * time.Second

// firewallStats returns what the firewalls of tenants have counted.
func (d *daemon) firewallStats() []metrics.TenantFirewall {
	m := d.rules()
	if m == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), firewallStatsWithin)
	defer cancel()
	return firewallMetrics(m.Stats(ctx))
}

func firewallMetrics(all []firewall.TenantStats) []metrics.TenantFirewall {
	out := make([]metrics.TenantFirewall, 0, len(all))
	for _, s := range all {
		f := metrics.TenantFirewall{
			Tenant: s.Tenant, Problems: s.Problems, Unattached: s.Unattached,
			Changes: s.Transactions, Failures: s.Failures, Repairs: s.Repairs,
		}
		for _, r := range s.Rules {
			f.Rules = append(f.Rules, ruleMetrics(r))
		}
		for _, p := range s.Ports {
			f.Ports = append(f.Ports, metrics.FirewallPort{
				Port: p.Port, Packets: p.Packets, Passed: p.Passed, Dropped: p.Dropped, Deferred: p.Deferred, Seconds: p.Nanoseconds / 1e9,
			})
		}
		out = append(out, f)
	}
	return out
}

func ruleMetrics(r firewall.RuleStats) metrics.FirewallRule {
	key := metrics.FirewallRuleKey{
		Network: "ipv4", Chain: r.Chain, UUID: r.UUID, Verdict: r.Verdict, Place: string(r.Place),
	}
	if r.Family == 6 {
		key.Network = "ipv6"
	}
	if r.ID == 0 {
		key.UUID = metrics.RulePolicy
	}
	return metrics.FirewallRule{FirewallRuleKey: key, Packets: r.Packets, Bytes: r.Bytes}
}
