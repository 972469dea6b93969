// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// tenantExportMetrics are of the export of each tenant. Losses are not told apart by cause, so that
// there are only so many series, all of them from the beginning; the log has the causes.
func tenantExportMetrics() []agentMetric {
	return []agentMetric{
		ofTenant("dwell.agent.tenant.export.spans.sent", Counter, "{span}", "Spans that the tenant's endpoints have accepted; one that goes to two endpoints counts twice.",
			func(s exporter.Stats, _ time.Time) float64 { return float64(s.Sent.Spans) }),
		ofTenant("dwell.agent.tenant.export.spans.lost", Counter, "{span}", "Spans of the tenant that are lost and will not be sent; the log gives the reason.",
			func(s exporter.Stats, _ time.Time) float64 { return float64(s.TotalLost().Spans) }),
		ofTenant("dwell.agent.tenant.export.spans.queued", Gauge, "{span}", "Spans waiting to be sent to the tenant, including those in its spool.",
			func(s exporter.Stats, _ time.Time) float64 { return float64(s.Queued.Spans) }),
		ofTenant("dwell.agent.tenant.export.spans.queued.age", Gauge, "s", "How long the span for the tenant has been waiting that has been for longest, including those in its spool; 0 if none is.",
			func(s exporter.Stats, now time.Time) float64 { return age(s.Oldest, now) }),
		ofTenant("dwell.agent.tenant.spool", Gauge, "By", "Size of the tenant's spool on disk.",
			func(s exporter.Stats, _ time.Time) float64 { return float64(s.SpoolBytes) }),
		ofTenant("dwell.agent.tenant.spool.failing", Gauge, "{spool}", "Spools of the tenant, of which each endpoint has one, that cannot be opened or written to.",
			func(s exporter.Stats, _ time.Time) float64 { return float64(s.SpoolsFailing) }),
	}
}

func ofTenant(name string, i Instrument, unit, meaning string, value func(exporter.Stats, time.Time) float64) agentMetric {
	return agentMetric{
		Definition: Definition{Name: name, Instrument: i, Unit: unit, Attributes: []string{trace.AttrTenantID}, Meaning: meaning, Agent: true},
		ofTenant:   value,
	}
}
