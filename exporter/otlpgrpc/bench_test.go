// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// sink decodes requests, as every server does, and forgets them.
type sink struct {
	coltracepb.UnimplementedTraceServiceServer
}

func (sink) Export(context.Context, *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// BenchmarkExport sends 1,000 traces to a sink in this process and waits until they
// are there; the sink's decoding is included.
func BenchmarkExport(b *testing.B) {
	address := serveGRPC(b, func(g *grpc.Server) { coltracepb.RegisterTraceServiceServer(g, sink{}) })
	traces := pings(1000)
	spans := exporter.CountOf(traces...).Spans
	for b.Loop() {
		e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: address})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Export(b.Context(), traces); err != nil {
			b.Fatal(err)
		}
		if err := e.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(spans)*float64(b.N)/b.Elapsed().Seconds(), "spans/s")
}
