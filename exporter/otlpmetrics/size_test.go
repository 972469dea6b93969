// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// largest returns the largest point there is: a histogram with an exemplar in each of
// the most buckets.
func largest(t *testing.T) *dto.MetricFamily {
	t.Helper()
	o := metrics.Options{}
	for i := range metrics.MaxBuckets {
		o.Buckets = append(o.Buckets, float64(i+1)*1e-6)
	}
	r, err := metrics.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range metrics.MaxBuckets + 1 {
		tr := tracetest.Complete(1)
		tr.Spans[tr.ReplySpan].End = tr.Root().Start + int64(i)*1000 + 500
		r.Record(tr, true)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "dwell_ping_duration_seconds" {
			return f
		}
	}
	t.Fatal("no histogram")
	return nil
}

// TestRequestsFitReceivers has a receiver with the limit that gRPC has by default, 4 MiB,
// and more than that to send.
func TestRequestsFitReceivers(t *testing.T) {
	const limit, series = 4 << 20, 700
	f := largest(t)
	for i := range series - 1 {
		m := proto.CloneOf(f.Metric[0])
		for _, l := range m.Label {
			if l.GetName() == "dwell_netns_name" {
				l.Value = proto.String(strings.Repeat("n", 253) + fmt.Sprint(i)) // as long as a pod's
			}
		}
		f.Metric = append(f.Metric, m)
	}
	s := serve(t, ok)
	p := start(t, otlpmetrics.Options{
		Gatherer: prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return []*dto.MetricFamily{f}, nil }),
		Endpoint: s.address,
	})
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.Stats(); got.Failed > 0 {
		t.Errorf("%+v, want no failure", got)
	}
	points, size := 0, 0
	for _, r := range s.received() {
		size += proto.Size(r)
		for _, m := range r.ScopeMetrics[0].Metrics {
			points += len(m.GetHistogram().GetDataPoints())
		}
	}
	if points != series || size <= limit {
		t.Errorf("%d histograms of %d bytes arrived, want %d of more than %d", points, size, series, limit)
	}
}
