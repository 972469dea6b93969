// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var resource = otlp.Options{Version: "1.2.3", Host: otlp.Host{ID: "5b0b1d9e", Name: "node-1"}}

// filled returns a registry as the daemon has it, in which something is counted.
func filled(t *testing.T, o metrics.Options) *prometheus.Registry {
	t.Helper()
	o.HostName, o.HostID, o.Version = resource.Host.Name, resource.Host.ID, resource.Version
	r, err := metrics.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range tracetest.All() {
		r.Record(tr, true)
	}
	probe := metrics.ProbeSeries{Probe: "gateway", NetNS: "host", Target: netip.MustParseAddr("192.0.2.1")}
	r.Probe(probe, metrics.ProbeSuccess, time.Millisecond, metrics.ProbeTrace{})
	ports := []metrics.FirewallPort{{Port: "tap-red", Deferred: map[string]uint64{"fragment": 1}, Seconds: 1e-7}}
	path := metrics.FastPathCounts{Slow: map[string]uint64{"lease": 1}, Unlearnt: map[string]uint64{"state": 1}}
	fast := &metrics.FastPath{Changes: map[string]uint64{"all": 1}, Nobody: path.Slow, NobodyUnlearnt: path.Unlearnt, Tenants: []metrics.TenantFastPath{{Tenant: "red", From: path, Refused: map[string]uint64{"forbidden": 1}}}}
	stats := metrics.AgentStats{FastPath: fast, Events: 42, LeftDrops: map[string]uint64{"NETFILTER_DROP": 1}, Firewalls: []metrics.TenantFirewall{{Tenant: "red", Ports: ports}}, Probes: metrics.ProbeStats{States: []metrics.ProbeState{{ProbeSeries: probe, Ended: true}}}, TenantExports: []metrics.TenantExport{{Tenant: "red", Since: time.Now()}}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r, collectors.NewGoCollector(),
		metrics.NewAgentCollector(o, func() metrics.AgentStats { return stats }))
	return registry
}

// start starts a pusher that pushes only when it is told to, which is at its end.
func start(t *testing.T, o otlpmetrics.Options) *otlpmetrics.Pusher {
	t.Helper()
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	o.OTLP = resource
	p, err := otlpmetrics.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) }) // mostly the second time
	return p
}

// server is an OTLP endpoint that answers as it is told.
type server struct {
	colmetricspb.UnimplementedMetricsServiceServer
	address string
	answer  func(n int) (*colmetricspb.ExportMetricsServiceResponse, error)

	mu       sync.Mutex
	requests []*colmetricspb.ExportMetricsServiceRequest
}

type answer = colmetricspb.ExportMetricsServiceResponse

func ok(int) (*answer, error) { return &answer{}, nil }

// serve starts a server. answer gets the number of the request, from 1.
func serve(t *testing.T, answer func(n int) (*answer, error)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: listener.Addr().String(), answer: answer}
	g := grpc.NewServer()
	colmetricspb.RegisterMetricsServiceServer(g, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(listener) }) // ends with Stop
	t.Cleanup(func() {
		g.Stop()
		wg.Wait()
	})
	return s
}

func (s *server) Export(_ context.Context, r *colmetricspb.ExportMetricsServiceRequest) (*answer, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	n := len(s.requests)
	s.mu.Unlock()
	return s.answer(n)
}

func (s *server) received() (all []*metricspb.ResourceMetrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		all = append(all, r.ResourceMetrics...)
	}
	return all
}

// byName returns the metrics by name, and their attributes: "dwell.device.duration".
func byName(resources []*metricspb.ResourceMetrics) map[string]*metricspb.Metric {
	found := map[string]*metricspb.Metric{}
	for _, r := range resources {
		for _, s := range r.ScopeMetrics {
			for _, m := range s.Metrics {
				found[m.Name] = m
			}
		}
	}
	return found
}

// attributes returns values as text.
func attributes(kvs []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range kvs {
		switch v := kv.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		case *commonpb.AnyValue_BoolValue:
			out[kv.Key] = fmt.Sprint("bool ", v.BoolValue)
		default:
			out[kv.Key] = fmt.Sprintf("%T", v)
		}
	}
	return out
}
