// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/loss"
)

// Losses counts what an agent loses before its traces are finished, since tracing began.
// docs/losses.md explains each field.
type Losses = loss.Counts

// AgentStats is how the agent is at one moment. Whoever runs one fills it in from
// what the parts say of themselves; numbers that have no meaning there stay zero.
// All are totals since the start, unless it says otherwise.
type AgentStats struct {
	// Since is when the totals began; zero is when the collector was made. Whoever makes
	// a second collector of the same totals has to say, or else backends that read the
	// start time take all that was counted before for new.
	Since time.Time
	// Now is when this is so; zero is when the collector asks.
	Now time.Time
	// Events is what the kernel side has handed on.
	Events uint64
	// EventsUnread is how many bytes of events wait to be read now, EventsRoom for how many there
	// is room, and EventsBehind how old the oldest of them may be.
	EventsUnread, EventsRoom int
	EventsBehind             time.Duration
	// Losses is what was lost before the traces were finished.
	Losses Losses
	// PingsGated is the number of pings that were left out on purpose, about, and GatesClosed
	// that of the identifiers of which only a part is traced now.
	PingsGated  uint64
	GatesClosed int
	// PingsSampledOut is the number of pings that were not traced because of sampling, about, and
	// EventsSampledOut how many events those had.
	PingsSampledOut, EventsSampledOut uint64
	// EventsDiscarded is the number of events, among Events, of which no trace was made because their
	// ping was under way when it was changed which are left out.
	EventsDiscarded uint64
	// LeftDrops is how many packets of pings that were not traced on purpose were dropped, by the
	// kernel's reason. It is not modified.
	LeftDrops map[string]uint64
	// TracesOpen is the number of pings on their way now.
	TracesOpen uint64
	// TracesOpenFor is for how long that has been so which has been for longest.
	TracesOpenFor time.Duration
	// TracesSampledOut is the number of traces that sampling left out.
	TracesSampledOut uint64
	// Export is what became of the traces that were to be sent.
	Export exporter.Stats
	// TenantExports is what became of the traces that were to be sent to each tenant.
	TenantExports []TenantExport
	// SpoolLimitBytes is how large Export.SpoolBytes may get, 0 if there is no spool.
	SpoolLimitBytes int64
	// Reloads and ReloadsFailed are of the configuration.
	Reloads, ReloadsFailed uint64
	// ScopeUnresolved is how many references of the scope are to nothing now.
	ScopeUnresolved int
	// RefusedScope and RefusedRelease are set while the kernel refuses to change what is
	// traced and to release a namespace; RefusedNetfilter is the number of namespaces whose
	// netfilter chains cannot be timed.
	RefusedScope, RefusedRelease bool
	RefusedNetfilter             int
	// NamesUnknown is how often a namespace or a device had no known name. Lookups are the
	// reads of what is in a namespace, LookupsFailed those of them that did not see all.
	NamesUnknown, Lookups, LookupsFailed uint64
	// LookupsWaiting is how many namespaces wait to be read now, and LookupsWaitingFor for how
	// long one of them has; LookupsPostponed are reads that were left out.
	LookupsWaiting    int
	LookupsWaitingFor time.Duration
	LookupsPostponed  uint64
	// MetricPushes and MetricPushesFailed are requests with these metrics over OTLP, see
	// otlpmetrics.Stats.
	MetricPushes, MetricPushesFailed uint64
	// API is about the agent's API.
	API APIStats
	// Tenants is about who the tenants are.
	Tenants TenantStats
	// Firewalls are those of tenants that have one.
	Firewalls []TenantFirewall
	// Probes are the agent's own.
	Probes ProbeStats
	// FastPath is nil if no tenant has one.
	FastPath *FastPath
}

// TenantExport is how the export to one tenant is.
type TenantExport struct {
	Tenant string
	// Since is when its totals began.
	Since time.Time
	Stats exporter.Stats
}

// The values of the label result.
const (
	ResultSuccess = "success"
	ResultFailure = "failure"
)

// The values of the label operation.
const (
	OperationScope     = "scope"
	OperationNetfilter = "netfilter"
	OperationRelease   = "release"
)

// agentMetric is a metric that is read from a snapshot.
type agentMetric struct {
	Definition
	// read calls emit for each series, with the label values.
	read func(s AgentStats, emit func(value float64, labels ...string))
	// ofTenant, if set, is read for each tenant instead.
	ofTenant func(s exporter.Stats, now time.Time) float64
}

// agentCollector shows a snapshot at each scrape.
type agentCollector struct {
	read    func() AgentStats
	started time.Time
	metrics []agentMetric
	descs   []*prometheus.Desc
	build   prometheus.Metric
	rules   ruleCounts
}

// NewAgentCollector makes the collector of the agent's own health. It calls read
// once for each scrape, from any goroutine.
func NewAgentCollector(o Options, read func() AgentStats) prometheus.Collector {
	o = o.withDefaults()
	c := &agentCollector{read: read, started: o.now(), metrics: agentMetrics(), rules: ruleCounts{max: o.MaxSeries}}
	for _, m := range c.metrics {
		c.descs = append(c.descs, o.desc(m.Definition))
	}
	c.build = prometheus.MustNewConstMetric(o.desc(defBuild), prometheus.GaugeValue, 1, o.Version, o.HostID)
	return c
}

// Describe implements [prometheus.Collector].
func (c *agentCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
	ch <- c.build.Desc()
}

// Collect implements [prometheus.Collector].
func (c *agentCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.read()
	stats.Firewalls = c.rules.fold(stats.Firewalls)
	if stats.Now.IsZero() {
		stats.Now = time.Now()
	}
	since := c.started
	if !stats.Since.IsZero() {
		since = stats.Since
	}
	for i, m := range c.metrics {
		show := func(since time.Time, value float64, labels ...string) {
			if m.Instrument == Counter {
				ch <- counted(c.descs[i], value, since, labels...)
				return
			}
			ch <- prometheus.MustNewConstMetric(c.descs[i], prometheus.GaugeValue, value, labels...)
		}
		if m.ofTenant == nil {
			m.read(stats, func(value float64, labels ...string) { show(since, value, labels...) })
			continue
		}
		for _, t := range stats.TenantExports {
			show(t.Since, m.ofTenant(t.Stats, stats.Now), t.Tenant)
		}
	}
	ch <- c.build
}

// desc makes the description of a metric with the host's name on it.
func (o Options) desc(d Definition) *prometheus.Desc {
	return prometheus.NewDesc(d.Prometheus(), d.Meaning, d.Labels(), o.hostLabel())
}

func (o Options) hostLabel() prometheus.Labels {
	return prometheus.Labels{Label(AttrHostName): o.HostName}
}

// lostByCause shows each cause that this package knows of even while it is zero, so
// that the first loss is an increase.
func lostByCause(s AgentStats, emit func(float64, ...string)) {
	lost := map[exporter.Cause]int64{}
	for _, known := range exporter.Causes() {
		lost[known.Cause] = 0
	}
	for cause, c := range s.Export.Lost {
		lost[cause] = c.Spans
	}
	for _, cause := range slices.Sorted(maps.Keys(lost)) {
		emit(float64(lost[cause]), string(cause))
	}
}
