// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/exporter"
)

func TestExportOfEachTenant(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, func() AgentStats {
		return AgentStats{TenantExports: []TenantExport{
			{Tenant: "blue", Stats: exporter.Stats{Sent: exporter.Count{Spans: 5}}},
			{Tenant: "red", Stats: exporter.Stats{
				Sent: exporter.Count{Spans: 6}, Queued: exporter.Count{Spans: 7}, SpoolBytes: 8, SpoolsFailing: 11,
				Lost: map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: {Spans: 9}, "unavailable": {Spans: 10}},
			}},
		}}
	}))
	for family, want := range map[string]map[string]float64{
		"dwell_agent_tenant_export_spans_sent_total": {"dwell_tenant_id=blue": 5, "dwell_tenant_id=red": 6},
		"dwell_agent_tenant_export_spans_lost_total": {"dwell_tenant_id=blue": 0, "dwell_tenant_id=red": 19},
		"dwell_agent_tenant_export_spans_queued":     {"dwell_tenant_id=blue": 0, "dwell_tenant_id=red": 7},
		"dwell_agent_tenant_spool_bytes":             {"dwell_tenant_id=blue": 0, "dwell_tenant_id=red": 8},
		"dwell_agent_tenant_spool_failing":           {"dwell_tenant_id=blue": 0, "dwell_tenant_id=red": 11},
		"dwell_agent_export_spans_sent_total":        {"": 0}, // tenants' are not the operator's
	} {
		if diff := cmp.Diff(want, values(t, registry, family)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", family, diff)
		}
	}
}

// The totals of a tenant begin when it is first there, and are shown from then on, so that
// its first loss is an increase.
func TestTotalsOfATenant(t *testing.T) {
	since, came := time.Unix(1_767_225_600, 0), time.Unix(1_767_229_200, 0)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, func() AgentStats {
		return AgentStats{Since: since, TenantExports: []TenantExport{{Tenant: "red", Since: came}}}
	}))
	m := gather(t, registry, "dwell_agent_tenant_export_spans_lost_total")["dwell_tenant_id=red"]
	if got := m.GetCounter().GetCreatedTimestamp().AsTime(); m == nil || !got.Equal(came) {
		t.Errorf("%v counts since %v, want %v", m, got, came)
	}
}
