// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
)

// backend stands in for a Collector or Prometheus.
type backend struct {
	colmetricspb.UnimplementedMetricsServiceServer
}

func (backend) Export(_ context.Context, r *colmetricspb.ExportMetricsServiceRequest) (*colmetricspb.ExportMetricsServiceResponse, error) {
	for _, metric := range r.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		if metric.GetName() == "dwell.pings" {
			fmt.Println(metric.GetName(), metric.GetSum().GetDataPoints()[0].GetAsDouble())
		}
	}
	return &colmetricspb.ExportMetricsServiceResponse{}, nil
}

// What a registry shows Prometheus is pushed to an OTLP endpoint every minute, and a
// last time by Shutdown.
func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer()
	colmetricspb.RegisterMetricsServiceServer(server, backend{})
	go server.Serve(listener)
	defer server.Stop()

	recorder, err := metrics.New(metrics.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(recorder)
	pusher, err := otlpmetrics.Start(otlpmetrics.Options{
		Gatherer: registry, Endpoint: listener.Addr().String(), Interval: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	t := &trace.Trace{Outcome: trace.Complete}
	t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, End: 14_000})
	recorder.Record(t, false)
	if err := pusher.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: dwell.pings 1
}
