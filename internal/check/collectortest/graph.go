// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"maps"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// requests is the metric that counts the requests along each edge, with the names of the
// two services as attributes.
const requests = "traces_service_graph_request_total"

// addEdges sets the counts of the edges of which the metrics tell. Those that failed are a
// series of their own, which counts as well.
func addEdges(edges map[Edge]int64, rm *metricspb.ResourceMetrics) {
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if m.Name != requests {
				continue
			}
			now := make(map[Edge]int64)
			for _, p := range m.GetSum().GetDataPoints() {
				var e Edge
				for _, kv := range p.Attributes {
					switch kv.Key {
					case "client":
						e.Client = kv.Value.GetStringValue()
					case "server":
						e.Server = kv.Value.GetStringValue()
					}
				}
				now[e] += p.GetAsInt()
			}
			maps.Copy(edges, now)
		}
	}
}
