// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/loss"
)

// everything gathers all metrics, with a measurement in each.
func everything(t *testing.T, read func() AgentStats) []*dto.MetricFamily {
	t.Helper()
	r, _ := newRecorder(t, Options{HostName: "node-1"})
	for _, tr := range tracetest.All() {
		r.Record(tr, true)
	}
	r.Probe(someProbe(), ProbeSuccess, time.Millisecond, ProbeTrace{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r, NewAgentCollector(Options{HostName: "node-1", HostID: "5b0b", Version: "1.2.3"}, read))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func zero() AgentStats { return AgentStats{} }

func TestEveryMetricIsDefined(t *testing.T) {
	type metric struct {
		Type   dto.MetricType
		Labels []string
	}
	types := map[Instrument]dto.MetricType{
		Histogram: dto.MetricType_HISTOGRAM, Counter: dto.MetricType_COUNTER, Gauge: dto.MetricType_GAUGE,
	}
	want, got := map[string]metric{}, map[string]metric{}
	for _, d := range Definitions() {
		labels := append(d.Labels(), "host_name")
		slices.Sort(labels)
		want[d.Prometheus()] = metric{types[d.Instrument], labels}
	}
	for _, f := range everything(t, func() AgentStats {
		return AgentStats{LeftDrops: map[string]uint64{"NO_SOCKET": 1}, FastPath: someFastPath(), TenantExports: []TenantExport{{Tenant: "red"}}, Probes: someProbes(), Firewalls: []TenantFirewall{{
			Tenant: "red", Ports: []FirewallPort{{Port: "tap-red", Deferred: map[string]uint64{"fragment": 1}, Seconds: 1e-7}},
		}}}
	}) {
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		got[f.GetName()] = metric{f.GetType(), labels}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-defined +shown):\n%s", diff)
	}
}

func TestPrometheusNames(t *testing.T) {
	for _, test := range []struct {
		definition Definition
		want       string
	}{
		{defDevice, "dwell_device_duration_seconds"},
		{defPings, "dwell_pings_total"},
		{Definition{Name: "dwell.agent.spool", Instrument: Gauge, Unit: "By"}, "dwell_agent_spool_bytes"},
		{Definition{Name: "dwell.build.info", Instrument: Gauge}, "dwell_build_info"},
	} {
		if got := test.definition.Prometheus(); got != test.want {
			t.Errorf("%s: %s, want %s", test.definition.Name, got, test.want)
		}
	}
}

// promlint is what promtool check metrics uses.
func TestLint(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(everything(t, zero)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAttributesAreKnown(t *testing.T) {
	known := map[string]bool{AttrParentKind: true, AttrMetric: true, "cause": true, "result": true, "operation": true, "version": true, "reason": true}
	for _, key := range []string{AttrFastPathDirection, AttrFastPathPath, AttrFastPathReason, AttrProbeName, AttrProbeResult} {
		known[key] = true // docs/fastpath.md, docs/probes.md
	}
	for _, a := range trace.Attributes {
		known[a.Key] = true
	}
	for _, d := range Definitions() {
		for _, key := range d.Attributes {
			if !known[key] {
				t.Errorf("%s has attribute %s, which no page explains", d.Name, key)
			}
		}
	}
}

func TestAgentCollector(t *testing.T) {
	now := time.Unix(1_767_225_600, 0)
	stats := AgentStats{
		Now:    now,
		Events: 1, TracesOpen: 6, TracesSampledOut: 8,
		Export: exporter.Stats{
			Sent: exporter.Count{Spans: 9}, Queued: exporter.Count{Spans: 10}, Spooled: exporter.Count{Spans: 11}, SpoolBytes: 12,
			Oldest: now.Add(-49 * time.Second), OldestSpooled: now.Add(-50 * time.Second),
			SpoolsFailing: 48,
			Lost:          map[exporter.Cause]exporter.Count{exporter.CauseQueueFull: {Spans: 13}, "unavailable": {Spans: 14}},
		},
		SpoolLimitBytes: 15, Reloads: 16, ReloadsFailed: 17, ScopeUnresolved: 18, MetricPushes: 19, MetricPushesFailed: 20,
		RefusedScope: true, RefusedRelease: true, RefusedNetfilter: 21, NamesUnknown: 22, Lookups: 47, LookupsFailed: 24,
		LookupsWaiting: 51, LookupsWaitingFor: 52 * time.Second, LookupsPostponed: 53,
		API: APIStats{
			Requests: 25, Refused: map[string]uint64{"not_yours": 26, "bad_certificate": 27}, Connections: 28, Streams: 29, LinesSent: 30, LinesLost: 31,
		},
		Tenants:    TenantStats{InForce: 32, Refused: 33, Conflicts: 34, Unmatched: 35, Doubtful: 36},
		PingsGated: 37, GatesClosed: 38, Probes: someProbes(),
		EventsUnread: 39, EventsRoom: 40, EventsBehind: 41 * time.Second, TracesOpenFor: 42 * time.Second,
		PingsSampledOut: 51, EventsSampledOut: 52, LeftDrops: map[string]uint64{"NETFILTER_DROP": 53, "NO_SOCKET": 54}, EventsDiscarded: 55,
	}
	for i, l := range loss.Table() {
		*l.Of(&stats.Losses) = uint64(100 + i)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{Version: "1.2.3", HostID: "5b0b"}, func() AgentStats { return stats }))
	got := map[string]map[string]float64{}
	for _, d := range agentDefinitions() {
		got[d.Prometheus()] = notZero(values(t, registry, d.Prometheus()))
	}
	want := map[string]map[string]float64{
		"dwell_agent_events_total":                     {"": 1},
		"dwell_agent_traces_open":                      {"": 6},
		"dwell_agent_events_unread_bytes":              {"": 39},
		"dwell_agent_events_unread_limit_bytes":        {"": 40},
		"dwell_agent_events_unread_age_seconds":        {"": 41},
		"dwell_agent_traces_open_age_seconds":          {"": 42},
		"dwell_agent_traces_sampled_out_total":         {"": 8},
		"dwell_agent_pings_gated_total":                {"": 37},
		"dwell_agent_gates_closed":                     {"": 38},
		"dwell_agent_pings_sampled_out_total":          {"": 51},
		"dwell_agent_events_sampled_out_total":         {"": 52},
		"dwell_agent_drops_left_out_total":             {"dwell_drop_reason=NETFILTER_DROP": 53, "dwell_drop_reason=NO_SOCKET": 54},
		"dwell_agent_events_discarded_total":           {"": 55},
		"dwell_agent_export_spans_sent_total":          {"": 9},
		"dwell_agent_export_spans_queued":              {"": 10},
		"dwell_agent_export_spans_spooled":             {"": 11},
		"dwell_agent_export_spans_queued_age_seconds":  {"": 49},
		"dwell_agent_export_spans_spooled_age_seconds": {"": 50},
		"dwell_agent_spool_bytes":                      {"": 12},
		"dwell_agent_spool_failing":                    {"": 48},
		"dwell_agent_export_spans_lost_total":          {"cause=queue_full": 13, "cause=unavailable": 14},
		"dwell_agent_spool_limit_bytes":                {"": 15},
		"dwell_agent_config_reloads_total":             {"result=success": 16, "result=failure": 17},
		"dwell_agent_scope_unresolved":                 {"": 18},
		"dwell_agent_metrics_pushes_total":             {"result=success": 19, "result=failure": 20},
		"dwell_agent_scope_refused":                    {"operation=scope": 1, "operation=netfilter": 21, "operation=release": 1},
		"dwell_agent_names_unknown_total":              {"": 22},
		"dwell_agent_names_waiting":                    {"": 51},
		"dwell_agent_names_waiting_age_seconds":        {"": 52},
		"dwell_agent_names_postponed_total":            {"": 53},
		"dwell_agent_names_lookups_total":              {"result=success": 23, "result=failure": 24},
		"dwell_agent_api_requests_total":               {"": 25},
		"dwell_agent_api_refused_total":                {"reason=not_yours": 26, "reason=bad_certificate": 27},
		"dwell_agent_api_connections":                  {"": 28},
		"dwell_agent_api_streams":                      {"": 29},
		"dwell_agent_api_lines_sent_total":             {"": 30},
		"dwell_agent_api_lines_lost_total":             {"": 31},
		"dwell_agent_tenants":                          {"": 32},
		"dwell_agent_tenants_refused":                  {"": 33},
		"dwell_agent_tenants_conflicts":                {"": 34},
		"dwell_agent_tenants_unmatched":                {"": 35},
		"dwell_agent_tenants_doubtful_total":           {"": 36},
		"dwell_agent_probes":                           {"": 3},
		"dwell_agent_probes_unresolved":                {"": 4},
		"dwell_agent_probes_refused":                   {"reason=limit": 5, "reason=not_owned": 6},
		"dwell_agent_probes_skipped_total":             {"": 7},
		"dwell_probe_success":                          {"destination_address=192.0.2.1 dwell_netns_name=web dwell_probe_name=gateway dwell_tenant_id=red network_type=ipv4": 1},
		"dwell_build_info":                             {"host_id=5b0b version=1.2.3": 1},
	}
	for i, l := range loss.Table() {
		want[Definition{Name: l.Metric, Unit: l.Unit, Instrument: Counter}.Prometheus()] = map[string]float64{"": float64(100 + i)}
	}
	for _, d := range slices.Concat(tenantExportMetrics(), firewallMetrics(), fastPathMetrics()) {
		want[d.Prometheus()] = map[string]float64{} // there are no tenants
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// What has not been lost yet is shown as zero, so that the first loss is an increase.
func TestCausesAreShownFromTheBeginning(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, zero))
	got := values(t, registry, "dwell_agent_export_spans_lost_total")
	if n, ok := got["cause=queue_full"]; !ok || n != 0 {
		t.Errorf("lost spans by cause are %v: no zero for queue_full", got)
	}
}

// A collector that is exchanged for another one goes on with the totals, and with their
// beginning: a value of before with a later start would be counted twice.
func TestTotalsOfBeforeTheCollector(t *testing.T) {
	since := time.Unix(1_767_225_600, 0)
	for name, test := range map[string]struct{ told, want time.Time }{
		"told":     {since, since},
		"not told": {time.Time{}, since.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{now: func() time.Time { return since.Add(time.Hour) }}
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(NewAgentCollector(o, func() AgentStats { return AgentStats{Since: test.told, Events: 1} }))
			m := gather(t, registry, "dwell_agent_events_total")[""]
			if got := m.GetCounter().GetCreatedTimestamp().AsTime(); !got.Equal(test.want) {
				t.Errorf("counts since %v, want %v", got, test.want)
			}
		})
	}
}
