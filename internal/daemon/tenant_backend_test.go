// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// tenantBackend is a backend with tenants, as Tempo and Jaeger are: a header says whose a
// request is. It accepts each span only once.
type tenantBackend struct {
	coltracepb.UnimplementedTraceServiceServer
	address string

	mu sync.Mutex
	// answers says what becomes of a tenant's requests, nil for that they are accepted.
	answers map[string]func(context.Context) error
	spans   map[string]map[string]*tracepb.Span // by tenant and ID
	headers map[string]metadata.MD
	twice   []string
	// again is set if a span may come twice: where an exporter with a spool was cut short.
	again bool
	// forget is set if spans need not be kept.
	forget bool
}

func newTenantBackend(t testing.TB) *tenantBackend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &tenantBackend{
		address: listener.Addr().String(), answers: map[string]func(context.Context) error{},
		spans: map[string]map[string]*tracepb.Span{}, headers: map[string]metadata.MD{},
	}
	g := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(g, b)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(listener) }) // ends with Stop
	t.Cleanup(func() {
		g.Stop()
		serving.Wait()
		for _, id := range b.twice {
			t.Errorf("span %s came twice", id)
		}
	})
	return b
}

// Export implements the service.
func (b *tenantBackend) Export(ctx context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	tenant := strings.Join(md.Get("x-scope-orgid"), ",")
	b.mu.Lock()
	answer := b.answers[tenant]
	b.headers[tenant] = md
	b.mu.Unlock()
	if answer != nil {
		if err := answer(ctx); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil { // the exporter was cut short
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spans[tenant] == nil {
		b.spans[tenant] = map[string]*tracepb.Span{}
	}
	if b.forget {
		return &coltracepb.ExportTraceServiceResponse{}, nil
	}
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				id := hex.EncodeToString(span.TraceId) + "/" + hex.EncodeToString(span.SpanId)
				if b.spans[tenant][id] != nil && !b.again {
					b.twice = append(b.twice, tenant+": "+id)
				}
				b.spans[tenant][id] = span
			}
		}
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// answer says what becomes of a tenant's requests from now on.
func (b *tenantBackend) answer(tenant string, with func(context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[tenant] = with
}

// refuses, hangs and overloaded are answers of a backend in trouble.
func refuses(context.Context) error { return status.Error(codes.PermissionDenied, "no such tenant") }

func overloaded(context.Context) error { return status.Error(codes.Unavailable, "overloaded") }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// has reports how many spans of a tenant have come.
func (b *tenantBackend) has(tenant string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.spans[tenant])
}

// await waits until so many spans of a tenant have come.
func (b *tenantBackend) await(t *testing.T, tenant string, spans int) {
	t.Helper()
	until(t, "the tenant's spans come", func() bool { return b.has(tenant) >= spans })
}

// mustHave fails unless these spans have come of a tenant, all and no others.
func (b *tenantBackend) mustHave(t *testing.T, tenant string, traces []*trace.Trace) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	want := map[string]bool{}
	for _, tr := range traces {
		for i := range tr.Spans {
			id := tr.ID.String() + "/" + tr.Spans[i].ID.String()
			want[id] = true
			if b.spans[tenant][id] == nil {
				t.Errorf("span %s of %s has not come", id, tenant)
			}
		}
	}
	for id := range b.spans[tenant] {
		if !want[id] {
			t.Errorf("span %s came under the name of %s and is not its", id, tenant)
		}
	}
}
