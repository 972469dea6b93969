// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"fmt"
	"net"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// backend stands in for a Collector, Jaeger or Tempo.
type backend struct {
	coltracepb.UnimplementedTraceServiceServer
}

func (backend) Export(_ context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	for _, service := range r.GetResourceSpans() {
		fmt.Println("received", service.GetScopeSpans()[0].GetSpans()[0].GetName())
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// A trace is sent to an OTLP endpoint. Export returns at once; what became of all
// traces is in Stats and in the error of Shutdown.
func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(server, backend{})
	go server.Serve(listener)
	defer server.Stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	exp, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: listener.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	t := &trace.Trace{ID: trace.ID{15: 1}, Outcome: trace.Complete}
	t.Add(trace.NoParent, trace.Span{ID: trace.SpanID{7: 1}, Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, End: 14_000})
	if err := exp.Export(ctx, []*trace.Trace{t}); err != nil {
		fmt.Println(err)
	}
	if err := exp.Shutdown(ctx); err != nil { // sends what is queued
		fmt.Println(err)
	}
	fmt.Println("sent:", exp.Stats().Sent)
	// Output:
	// received ping
	// sent: 1 trace (1 span)
}
