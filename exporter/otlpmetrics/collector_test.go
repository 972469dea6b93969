// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/check/collectortest"
)

// point is a data point, from whichever side.
type point struct {
	Name, Unit string
	Attributes string
	Value      float64
	Count      uint64
	Bounds     []float64
	Buckets    []uint64
	// Exemplars are trace ID, span ID and value.
	Exemplars []exemplar
	Start     int64
}

type exemplar struct {
	TraceID, SpanID string
	Value           float64
}

// TestCollectorReceivesWhatIsCounted pushes to a real Collector and holds what arrives
// against what the registry shows.
func TestCollectorReceivesWhatIsCounted(t *testing.T) {
	registry := filled(t, metrics.Options{MaxSeries: 8}) // some are folded
	c := collectortest.Start(t)
	p := start(t, otlpmetrics.Options{Gatherer: registry, Endpoint: c.GRPC})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	received := c.StopMetrics(t)
	for _, r := range received {
		if diff := cmp.Diff(map[string]string{
			"service.name": "dwell", "service.version": "1.2.3", "service.instance.id": "5b0b1d9e",
			"host.id": "5b0b1d9e", "host.name": "node-1",
		}, attributes(r.Resource.Attributes)); diff != "" {
			t.Errorf("resource (-want +got):\n%s", diff)
		}
		if s := r.ScopeMetrics[0].Scope; s.Name != otlp.ScopeName || s.Version != "1.2.3" {
			t.Errorf("scope %s", s)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want, got := pointsOfFamilies(families), pointsOfOTLP(received)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("data points (-in the registry +received):\n%s", diff)
	}
	if len(got) < 30 {
		t.Errorf("only %d data points to compare", len(got))
	}
	if s := p.Stats(); s != (otlpmetrics.Stats{Pushed: 1}) {
		t.Errorf("%+v, want one push", s)
	}
}

func add(all map[string]point, p point) { all[p.Name+p.Attributes] = p }

// pointsOfFamilies says what OTLP should have.
func pointsOfFamilies(families []*dto.MetricFamily) map[string]point {
	all := map[string]point{}
	definitions := map[string]metrics.Definition{}
	for _, d := range metrics.Definitions() {
		definitions[d.Prometheus()] = d
	}
	for _, f := range families {
		d, known := definitions[f.GetName()]
		if !known {
			continue // of the Go runtime
		}
		for _, m := range f.Metric {
			p := point{Name: d.Name, Unit: d.Unit, Attributes: cmpText(ownLabels(d, m))}
			switch {
			case m.Gauge != nil:
				p.Value = m.Gauge.GetValue()
			case m.Counter != nil:
				p.Value = m.Counter.GetValue()
				p.Start = m.Counter.GetCreatedTimestamp().AsTime().UnixNano()
				p.Exemplars = exemplarsOf(m.Counter.Exemplar)
			case m.Histogram != nil:
				fillHistogram(&p, m.Histogram)
			}
			add(all, p)
		}
	}
	return all
}

func ownLabels(d metrics.Definition, m *dto.Metric) map[string]string {
	values := map[string]string{}
	for _, l := range m.Label {
		values[l.GetName()] = l.GetValue()
	}
	out := map[string]string{}
	for i, label := range d.Labels() {
		if v := values[label]; v != "" {
			out[d.Attributes[i]] = v
		}
	}
	if values["otel_metric_overflow"] == "true" {
		out["otel.metric.overflow"] = "bool true"
	}
	return out
}

func fillHistogram(p *point, h *dto.Histogram) {
	p.Value, p.Count, p.Start = h.GetSampleSum(), h.GetSampleCount(), h.GetCreatedTimestamp().AsTime().UnixNano()
	var before uint64
	for _, b := range h.Bucket {
		if !math.IsInf(b.GetUpperBound(), 1) {
			p.Bounds = append(p.Bounds, b.GetUpperBound())
			p.Buckets = append(p.Buckets, b.GetCumulativeCount()-before)
			before = b.GetCumulativeCount()
		}
		p.Exemplars = append(p.Exemplars, exemplarsOf(b.Exemplar)...)
	}
	p.Buckets = append(p.Buckets, h.GetSampleCount()-before)
}

func exemplarsOf(e *dto.Exemplar) []exemplar {
	if e == nil {
		return nil
	}
	labels := map[string]string{}
	for _, l := range e.Label {
		labels[l.GetName()] = l.GetValue()
	}
	return []exemplar{{labels["trace_id"], labels["span_id"], e.GetValue()}}
}

func pointsOfOTLP(resources []*metricspb.ResourceMetrics) map[string]point {
	all := map[string]point{}
	for name, m := range byName(resources) {
		numbers := append(m.GetGauge().GetDataPoints(), m.GetSum().GetDataPoints()...)
		for _, n := range numbers {
			add(all, point{
				Name: name, Unit: m.Unit, Attributes: text(n.Attributes), Value: n.GetAsDouble(),
				Exemplars: exemplarsOfOTLP(n.Exemplars), Start: int64(n.StartTimeUnixNano),
			})
		}
		for _, h := range m.GetHistogram().GetDataPoints() {
			add(all, point{
				Name: name, Unit: m.Unit, Attributes: text(h.Attributes), Value: h.GetSum(), Count: h.Count,
				Bounds: h.ExplicitBounds, Buckets: h.BucketCounts,
				Exemplars: exemplarsOfOTLP(h.Exemplars), Start: int64(h.StartTimeUnixNano),
			})
		}
	}
	return all
}

func exemplarsOfOTLP(exemplars []*metricspb.Exemplar) (out []exemplar) {
	for _, e := range exemplars {
		out = append(out, exemplar{hex.EncodeToString(e.TraceId), hex.EncodeToString(e.SpanId), e.GetAsDouble()})
	}
	return out
}

func text(kvs []*commonpb.KeyValue) string { return cmpText(attributes(kvs)) }

// cmpText is for keys of a map.
func cmpText(attributes map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		fmt.Fprintf(&b, " %s=%s", key, attributes[key])
	}
	return b.String()
}
