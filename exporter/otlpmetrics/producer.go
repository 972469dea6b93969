// SPDX-License-Identifier: Apache-2.0

package otlpmetrics

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// producer gathers for each push.
type producer struct {
	gatherer    prometheus.Gatherer
	health      *health
	exponential bool
	scope       instrumentation.Scope
	names       map[string]naming
}

var _ sdkmetric.Producer = (*producer)(nil)

func newProducer(o Options, h *health, exponential bool) *producer {
	p := &producer{
		gatherer: o.Gatherer, health: h, exponential: exponential,
		scope: instrumentation.Scope{Name: otlp.ScopeName, Version: o.OTLP.Version},
		names: make(map[string]naming),
	}
	for _, d := range metrics.Definitions() {
		p.names[d.Prometheus()] = newNaming(d)
	}
	return p
}

// Produce implements [sdkmetric.Producer]. Errors go to health; what could be gathered
// is pushed all the same.
func (p *producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	p.health.begin()
	families, err := p.gatherer.Gather()
	if err != nil {
		p.health.request(fmt.Errorf("gather metrics: %w", err))
	}
	families = p.choose(families)
	produced, err := bridge.NewMetricProducer(bridge.WithGatherer(fixed(families))).Produce(ctx)
	if err != nil {
		p.health.request(fmt.Errorf("convert metrics: %w", err))
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	for i := range produced {
		produced[i].Scope = p.scope
		for j := range produced[i].Metrics {
			m := &produced[i].Metrics[j]
			p.names[m.Name].apply(m, byName[m.Name])
		}
	}
	return produced, nil
}

// choose returns the families that are defined, with one kind of buckets: the bridge
// takes the native ones if there are any.
func (p *producer) choose(families []*dto.MetricFamily) []*dto.MetricFamily {
	var chosen []*dto.MetricFamily
	for _, f := range families {
		if _, ok := p.names[f.GetName()]; !ok || len(f.Metric) == 0 {
			continue
		}
		if f.GetType() == dto.MetricType_HISTOGRAM && !p.exponential {
			f = classic(f)
		}
		chosen = append(chosen, f)
	}
	return chosen
}

// classic returns a family without native buckets. The original may be another's.
func classic(f *dto.MetricFamily) *dto.MetricFamily {
	out := &dto.MetricFamily{Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit}
	for _, m := range f.Metric {
		h := m.GetHistogram()
		out.Metric = append(out.Metric, &dto.Metric{
			Label: m.Label, TimestampMs: m.TimestampMs,
			Histogram: &dto.Histogram{
				SampleCount: h.SampleCount, SampleSum: h.SampleSum, Bucket: h.Bucket, CreatedTimestamp: h.CreatedTimestamp,
			},
		})
	}
	return out
}

// fixed gathers what was gathered.
type fixed []*dto.MetricFamily

func (f fixed) Gather() ([]*dto.MetricFamily, error) { return f, nil }
