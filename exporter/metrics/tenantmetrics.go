// SPDX-License-Identifier: Apache-2.0

package metrics

// TenantStats is how it stands with the tenants. Without any, it is zero.
type TenantStats struct {
	// InForce is how many there are, and Refused how many files do not define one.
	InForce, Refused int
	// Conflicts is how many devices and namespaces are nobody's because two tenants claim
	// them, and Unmatched how many references of tenants match nothing now.
	Conflicts, Unmatched int
	// Doubtful is how often something was nobody's because it was not sure whose it is.
	Doubtful uint64
}

// tenantMetrics are about who the tenants are, and not about their pings.
func tenantMetrics() []agentMetric {
	return []agentMetric{
		gauge("dwell.agent.tenants", "{tenant}", "Tenants in force. 0 if there are none, and also while none is in force because of a refused file of which nothing is known.",
			func(s AgentStats) float64 { return float64(s.Tenants.InForce) }),
		gauge("dwell.agent.tenants.refused", "{file}", "Files in tenancy.dir that are currently refused because of a mistake or a conflict; the log says which and why.",
			func(s AgentStats) float64 { return float64(s.Tenants.Refused) }),
		gauge("dwell.agent.tenants.conflicts", "{conflict}", "Devices and namespaces that currently belong to nobody because two tenants claim them; no tenant sees them.",
			func(s AgentStats) float64 { return float64(s.Tenants.Conflicts) }),
		gauge("dwell.agent.tenants.unmatched", "{reference}", "References of tenants to ports, namespaces and so on that currently match nothing on this host.",
			func(s AgentStats) float64 { return float64(s.Tenants.Unmatched) }),
		counter("dwell.agent.tenants.doubtful", "{answer}", "Times that a device or namespace counted as nobody's because it was not sure whose it is, for example just after it had changed hands.",
			func(s AgentStats) uint64 { return s.Tenants.Doubtful }),
	}
}
