// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/config"
)

// telemetry counts pings and shows how the agent is. What counts is exchanged when its
// settings change, and begins at zero then, as after a restart.
type telemetry struct {
	resource otlp.Options
	log      *slog.Logger
	read     func() metrics.AgentStats
	counter  atomic.Pointer[counter]
	pushing  pushSettings

	mu     sync.Mutex
	pusher *otlpmetrics.Pusher
	// pushed is what former pushers have counted.
	pushed otlpmetrics.Stats
}

// counter is a recorder with the registry that shows it.
type counter struct {
	is       countSettings
	recorder *metrics.Recorder
	registry *prometheus.Registry
}

// countSettings and pushSettings are what counter and pusher are made of.
type countSettings struct {
	maxSeries int
	buckets   []config.Duration
	expire    config.Duration
}

type pushSettings struct {
	enabled  bool
	to       string
	protocol config.Protocol
	interval config.Duration
	otlp     config.OTLP
	tls      digest
}

var _ prometheus.Gatherer = (*telemetry)(nil)

// Gather implements [prometheus.Gatherer] by whatever counts now.
func (t *telemetry) Gather() ([]*dto.MetricFamily, error) { return t.counter.Load().registry.Gather() }

// record counts a ping.
func (t *telemetry) record(tr *trace.Trace, kept bool) { t.counter.Load().recorder.Record(tr, kept) }

// probe counts a probe of the agent's own.
func (t *telemetry) probe(s metrics.ProbeSeries, result string, rtt time.Duration, of metrics.ProbeTrace) {
	t.counter.Load().recorder.Probe(s, result, rtt, of)
}

// telemetryPlan is a change that is ready to be made.
type telemetryPlan struct {
	telemetry *telemetry
	counter   *counter // nil: stays
	pushing   pushSettings
	options   otlpmetrics.Options
}

// prepare makes what the configuration asks for and is not there yet.
func (t *telemetry) prepare(l *config.Loaded) (*telemetryPlan, error) {
	p := &telemetryPlan{telemetry: t}
	m := l.Metrics
	is := countSettings{m.MaxSeries, m.Buckets, m.Expire}
	if now := t.counter.Load(); now == nil || !reflect.DeepEqual(now.is, is) {
		c, err := t.newCounter(is)
		if err != nil {
			return nil, l.Error("metrics", err)
		}
		p.counter = c
	}
	credentials, sum, err := loadTLS(l)
	if err != nil {
		return nil, err
	}
	if m.OTLP.Enabled {
		p.pushing = pushSettings{true, pushEndpoint(l.Config), pushProtocol(l.Config), m.OTLP.Interval, l.Export.OTLP, sum}
		p.options = t.pushOptions(l.Config, p.pushing.to, credentials)
		if err := checkPush(l); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (t *telemetry) newCounter(is countSettings) (*counter, error) {
	o := metrics.Options{
		HostName: t.resource.Host.Name, HostID: t.resource.Host.ID, Version: t.resource.Version,
		MaxSeries: is.maxSeries, Expire: time.Duration(is.expire),
	}
	for _, b := range is.buckets {
		o.Buckets = append(o.Buckets, time.Duration(b).Seconds())
	}
	recorder, err := metrics.New(o)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	runtime := prometheus.WrapRegistererWith(prometheus.Labels{metrics.Label(metrics.AttrHostName): o.HostName}, registry)
	for _, r := range []struct {
		prometheus.Registerer
		prometheus.Collector
	}{
		{registry, recorder},
		{registry, metrics.NewAgentCollector(o, t.read)},
		{runtime, collectors.NewGoCollector()},
		{runtime, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})},
	} {
		if err := r.Register(r.Collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return &counter{is, recorder, registry}, nil
}

// pushEndpoint returns where metrics go: what is said for them, else where traces go;
// "" leaves it to the environment, which may name an endpoint for metrics alone.
func pushEndpoint(c config.Config) string {
	to := c.Metrics.OTLP.Endpoint
	if to == "" {
		to = c.Export.OTLP.Endpoint
		if base, ok := strings.CutSuffix(to, "/v1/traces"); ok && pushProtocol(c) == config.HTTPProtobuf {
			to = base + "/v1/metrics"
		}
	}
	return withScheme(to, c.Export.OTLP.TLS)
}

// pushProtocol returns how metrics go: as is said for them, else as traces do.
func pushProtocol(c config.Config) config.Protocol {
	named := c.Metrics.OTLP.Protocol
	if named == config.AutoProtocol {
		named = config.Protocol(os.Getenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"))
	}
	switch named {
	case config.GRPC, config.HTTPProtobuf:
		return named
	}
	return protocolOf(c.Export.OTLP)
}

func (t *telemetry) pushOptions(c config.Config, to string, credentials *tls.Config) otlpmetrics.Options {
	return otlpmetrics.Options{
		Gatherer: t, Endpoint: to, Protocol: string(pushProtocol(c)), Compression: compressionOf(c.Export.OTLP.Compression),
		Headers: headers(c.Export.OTLP), TLS: credentials,
		OTLP: t.resource, Interval: time.Duration(c.Metrics.OTLP.Interval), Logger: t.log,
	}
}

// carryOut makes the change. The error is about the settings of the environment.
func (p *telemetryPlan) carryOut(ctx context.Context) error {
	t := p.telemetry
	if p.counter != nil {
		t.counter.Store(p.counter)
	}
	if reflect.DeepEqual(p.pushing, t.pushing) {
		return nil
	}
	t.stop(ctx)
	if t.pushing = p.pushing; !p.pushing.enabled {
		return nil
	}
	pusher, err := otlpmetrics.Start(p.options)
	if err != nil {
		t.pushing = pushSettings{}
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pusher = pusher
	return nil
}

// stop pushes a last time, if metrics are pushed. The pusher counts until it ends: its
// last push includes those before.
func (t *telemetry) stop(ctx context.Context) {
	t.mu.Lock()
	pusher := t.pusher
	t.mu.Unlock()
	if pusher == nil {
		return
	}
	if err := pusher.Shutdown(ctx); err != nil {
		t.log.Warn("the last metrics were not sent", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushed, t.pusher = plus(t.pushed, pusher.Stats()), nil
}

// pushes returns how many there were.
func (t *telemetry) pushes() otlpmetrics.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pusher == nil {
		return t.pushed
	}
	return plus(t.pushed, t.pusher.Stats())
}

func plus(a, b otlpmetrics.Stats) otlpmetrics.Stats {
	return otlpmetrics.Stats{Pushed: a.Pushed + b.Pushed, Failed: a.Failed + b.Failed}
}
