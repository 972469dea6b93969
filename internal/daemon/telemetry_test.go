// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/exporter/metrics"
)

// totals is an OTLP endpoint that hands on the total of pushes that each push tells.
type totals struct {
	colmetricspb.UnimplementedMetricsServiceServer
	told chan *metricspb.NumberDataPoint
}

func (s totals) Export(_ context.Context, r *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	for _, m := range r.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		for _, p := range m.GetSum().GetDataPoints() {
			if m.Name == "dwell.agent.metrics.pushes" && p.Attributes[0].Value.GetStringValue() == metrics.ResultSuccess {
				s.told <- p
			}
		}
	}
	return &colmetricspb.ExportMetricsServiceResponse{}, nil
}

// TestTotalsGoOn has the agent's totals go on, with their beginning, through an exchange
// of what counts and to the last push.
func TestTotalsGoOn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, g := totals{told: make(chan *metricspb.NumberDataPoint, 100)}, grpc.NewServer()
	colmetricspb.RegisterMetricsServiceServer(g, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(listener) }) // ends with Stop
	defer serving.Wait()
	defer g.Stop()

	began := time.Now()
	m := &telemetry{log: slog.New(slog.DiscardHandler)}
	m.read = func() metrics.AgentStats {
		return metrics.AgentStats{Since: began, MetricPushes: m.pushes().Pushed}
	}
	take := func(more string) {
		p, err := m.prepare(parse(t, "metrics: {otlp: {enabled: true, endpoint: \"http://"+listener.Addr().String()+"\", interval: 1s}"+more+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.carryOut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	take("")
	told := []*metricspb.NumberDataPoint{<-s.told, <-s.told}
	take(", max_series: 100")
	told = append(told, <-s.told)
	m.stop(t.Context())
	for len(s.told) > 0 {
		told = append(told, <-s.told)
	}
	var got []float64
	for i, p := range told {
		got = append(got, p.GetAsDouble())
		if p.StartTimeUnixNano != uint64(began.UnixNano()) {
			t.Errorf("push %d counts since %d, want %d", i, p.StartTimeUnixNano, began.UnixNano())
		}
	}
	if len(got) < 4 || !slices.IsSorted(got) {
		t.Errorf("each push tells of %v pushes before it: a counter does not go back", got)
	}
}
