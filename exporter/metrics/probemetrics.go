// SPDX-License-Identifier: Apache-2.0

package metrics

// ProbeStats is how the agent's own probes are. Without any, it is zero.
type ProbeStats struct {
	// States are those of what is being probed.
	States []ProbeState
	// Unresolved is how many references of probes match no namespace now. Refused is how many
	// pairs of a namespace and a target are not probed, by reason; nil without probes.
	Unresolved int
	Refused    map[string]int
	// Skipped is how many probes were not sent because the agent was late.
	Skipped uint64
}

// ProbeState is how the last probe of a series ended.
type ProbeState struct {
	ProbeSeries
	// Ended is not set before the first one has ended, and Up if the last one was answered.
	Ended, Up bool
}

// The values of the label reason of dwell_agent_probes_refused.
const (
	ProbeRefusedLimit    = "limit"
	ProbeRefusedNotOwned = "not_owned"
)

// probeMetrics are about what the agent's own probes are doing now.
func probeMetrics() []agentMetric {
	return []agentMetric{
		{
			Definition: Definition{
				Name: "dwell.probe.success", Instrument: Gauge, Unit: "", Attributes: probeAttributes(), Agent: true,
				Meaning: "1 if the last probe was answered in time, otherwise 0. It is not there while the namespace is not.",
			},
			read: func(s AgentStats, emit func(float64, ...string)) {
				for i := range s.Probes.States {
					if state := &s.Probes.States[i]; state.Ended {
						emit(oneIf(state.Up), state.values()...)
					}
				}
			},
		},
		gauge("dwell.agent.probes", "{pair}", "Pairs of a network namespace and a target that are being probed.",
			func(s AgentStats) float64 { return float64(len(s.Probes.States)) }),
		gauge("dwell.agent.probes.unresolved", "{reference}", "References of probes that currently match no network namespace, so that nothing is sent there.",
			func(s AgentStats) float64 { return float64(s.Probes.Unresolved) }),
		{
			Definition: Definition{
				Name: "dwell.agent.probes.refused", Instrument: Gauge, Unit: "{pair}", Attributes: []string{"reason"}, Agent: true,
				Meaning: `Pairs of a network namespace and a target that are not probed. reason is "limit" (see probing.max_rate) or "not_owned" (the namespace is not the tenant's whose probe it is).`,
			},
			read: func(s AgentStats, emit func(float64, ...string)) {
				for _, reason := range []string{ProbeRefusedLimit, ProbeRefusedNotOwned} {
					emit(float64(s.Probes.Refused[reason]), reason)
				}
			},
		},
		counter("dwell.agent.probes.skipped", "{probe}", "Probes that were not sent because the agent was too late for them, or the namespace was just being removed.",
			func(s AgentStats) uint64 { return s.Probes.Skipped }),
	}
}
