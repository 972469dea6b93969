// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/dwelltrace/dwell/internal/backend/api"

// APIStats is what the agent's API did. Without one, it is zero.
type APIStats struct {
	// Requests is how many were answered, the refused ones included.
	Requests uint64
	// Refused is how many requests and connections were refused, by reason.
	Refused map[string]uint64
	// Connections and Streams are open now.
	Connections, Streams int
	// LinesSent and LinesLost are those of all streams.
	LinesSent, LinesLost uint64
}

// apiMetrics are about the agent's API.
func apiMetrics() []agentMetric {
	return []agentMetric{
		counter("dwell.agent.api.requests", "{request}", "Requests that the API has answered, including those that it refused.",
			func(s AgentStats) uint64 { return s.API.Requests }),
		{
			Definition: Definition{
				Name: "dwell.agent.api.refused", Instrument: Counter, Unit: "{refusal}", Attributes: []string{"reason"}, Agent: true,
				Meaning: "Requests, streams and connections that the API refused or ended. reason is the code of the answer, such as not_yours, or for connections no_certificate, bad_certificate, no_credentials or connections (too many).",
			},
			read: func(s AgentStats, emit func(float64, ...string)) {
				for _, reason := range api.Reasons() { // zeros as well, so that the first is an increase
					emit(float64(s.API.Refused[reason]), reason)
				}
			},
		},
		gauge("dwell.agent.api.connections", "{connection}", "Connections to the API that are open.",
			func(s AgentStats) float64 { return float64(s.API.Connections) }),
		gauge("dwell.agent.api.streams", "{stream}", "Streams of traces that clients of the API have open.",
			func(s AgentStats) float64 { return float64(s.API.Streams) }),
		counter("dwell.agent.api.lines.sent", "{line}", "Traces sent to readers of the API's streams; each counts once for each reader.",
			func(s AgentStats) uint64 { return s.API.LinesSent }),
		counter("dwell.agent.api.lines.lost", "{line}", "Traces that readers of the API's streams did not get because they were too slow; each reader is told how many.",
			func(s AgentStats) uint64 { return s.API.LinesLost }),
	}
}
