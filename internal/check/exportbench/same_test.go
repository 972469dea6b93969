// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"net"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dwelltrace/dwell/exporter"
)

// TestSameSpans: what is compared is the sending of the same spans. Only two things
// differ: dwell sets one bit more in the flags, and the SDK writes an empty status.
func TestSameSpans(t *testing.T) {
	t.Parallel()
	traces := pings(5)
	sent := make(map[string]map[string]arrived)
	for _, role := range exporters() {
		r := receive(t)
		begin := startDwell
		if role == roleSDK {
			begin = startSDK
		}
		send, shutdown, err := begin(t.Context(), config{role: role, endpoint: r.address}, traces)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(0); err != nil {
			t.Error(err)
		}
		if err := shutdown(); err != nil {
			t.Error(err)
		}
		sent[role] = r.spans
	}
	want := sent[roleSDK]
	if n := exporter.CountOf(traces...).Spans; int64(len(want)) != n {
		t.Errorf("the SDK has sent %d spans, want %d", len(want), n)
	}
	for _, role := range []string{roleDwell, roleSpool} {
		diff := gocmp.Diff(want, sent[role], protocmp.Transform(), protocmp.IgnoreFields(&tracepb.Span{}, "flags"))
		if diff != "" {
			t.Errorf("(-%s +%s):\n%s", roleSDK, role, diff)
		}
	}
}

// arrived is a span and whose it is.
type arrived struct {
	Resource *resourcepb.Resource
	Scope    *commonpb.InstrumentationScope
	Span     *tracepb.Span
}

// receiver is an OTLP endpoint that keeps what arrives, by span ID.
type receiver struct {
	coltracepb.UnimplementedTraceServiceServer
	address string

	mu    sync.Mutex
	spans map[string]arrived
}

func receive(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: l.Addr().String(), spans: make(map[string]arrived)}
	server := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *receiver) Export(_ context.Context, request *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range request.ResourceSpans {
		sortAttributes(rs.Resource.Attributes)
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				sortAttributes(s.Attributes)
				if proto.Size(s.Status) == 0 {
					s.Status = nil
				}
				r.spans[hex.EncodeToString(s.SpanId)] = arrived{rs.Resource, ss.Scope, s}
			}
		}
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

func sortAttributes(kvs []*commonpb.KeyValue) {
	slices.SortFunc(kvs, func(a, b *commonpb.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
}
