// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// tenancy is an endpoint that tells senders apart by a header.
type tenancy struct {
	coltracepb.UnimplementedTraceServiceServer
	// hang holds the requests of a tenant back.
	hang func(tenant string) bool

	mu sync.Mutex
	// spans are the spans that came of each tenant, conns the connections by which its
	// requests came, and headers those of its last request.
	spans   map[string]int64
	conns   map[string]map[string]bool
	headers map[string]metadata.MD
}

func newTenancy() *tenancy {
	return &tenancy{
		hang:  func(string) bool { return false },
		spans: map[string]int64{}, conns: map[string]map[string]bool{}, headers: map[string]metadata.MD{},
	}
}

func (s *tenancy) serve(t testing.TB, opts ...grpc.ServerOption) (address string) {
	return serveGRPC(t, func(g *grpc.Server) { coltracepb.RegisterTraceServiceServer(g, s) }, opts...)
}

func (s *tenancy) Export(ctx context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	from, _ := peer.FromContext(ctx)
	tenant := fmt.Sprint(md.Get("x-scope-orgid"))
	s.mu.Lock()
	if s.conns[tenant] == nil {
		s.conns[tenant] = map[string]bool{}
	}
	s.conns[tenant][from.Addr.String()] = true
	s.headers[tenant] = md
	s.mu.Unlock()
	if s.hang(tenant) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			s.spans[tenant] += int64(len(ss.Spans))
		}
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

func (s *tenancy) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]bool{}
	for _, conns := range s.conns {
		for c := range conns {
			all[c] = true
		}
	}
	return len(all)
}

func orgID(tenant string) map[string]string { return map[string]string{"x-scope-orgid": tenant} }

// Many senders to one endpoint share few connections, and each sends its own headers only,
// none of the environment's. When they have ended, there is no connection left.
func TestSharedConnections(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=operator")
	const senders = 2*otlpgrpc.UsersPerConnection + 1
	s := newTenancy()
	address := s.serve(t)
	pool := &otlpgrpc.Pool{}
	var all exporter.Multi
	for i := range senders {
		o := otlpgrpc.Options{Endpoint: "http://" + address, Pool: pool, Queue: one}
		if i > 0 { // the first one has none
			o.Headers = orgID(fmt.Sprint(i))
		}
		all = append(all, start(t, o))
	}
	if n := pool.Connections(); n != 3 {
		t.Errorf("%d connections for %d senders, want 3", n, senders)
	}
	if err := all.Export(t.Context(), pings(2)); err != nil {
		t.Error(err)
	}
	if err := all.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	each := exporter.CountOf(pings(2)...).Spans
	for i := range senders {
		tenant := fmt.Sprintf("[%d]", i)
		if i == 0 {
			tenant = "[]"
		}
		if s.spans[tenant] != each {
			t.Errorf("%d spans came of %s, want %d", s.spans[tenant], tenant, each)
		}
		if got := s.headers[tenant].Get("authorization"); got != nil {
			t.Errorf("%s sends the operator's credentials %q", tenant, got)
		}
	}
	if n := s.connections(); n != 3 {
		t.Errorf("the endpoint had %d connections, want 3", n)
	}
	if n := pool.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// One whose requests are not answered leaves the connection, and takes nobody with it. One
// that comes later does not get the connection that was left.
func TestHangingSenderLeavesTheConnection(t *testing.T) {
	s := newTenancy()
	s.hang = func(tenant string) bool { return tenant == "[red]" }
	address := s.serve(t)
	pool := &otlpgrpc.Pool{}
	sender := func(tenant string, timeout time.Duration) *otlpgrpc.Exporter {
		return start(t, otlpgrpc.Options{Endpoint: "http://" + address, Pool: pool, Headers: orgID(tenant), Queue: one, Timeout: timeout})
	}
	red, blue := sender("red", 20*time.Millisecond), sender("blue", 0)
	eventually(t, "red gets another connection", func() bool {
		for _, e := range []*otlpgrpc.Exporter{red, blue} {
			if err := e.Export(t.Context(), pings(1)); err != nil {
				t.Fatal(err)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns["[red]"]) > 1
	})
	green := sender("green", 0)
	if err := green.Export(t.Context(), pings(1)); err != nil {
		t.Error(err)
	}
	for _, e := range []*otlpgrpc.Exporter{blue, green} {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := red.Shutdown(t.Context()); err == nil {
		t.Error("red lost nothing")
	}
	if n := len(s.conns["[blue]"]); n != 1 {
		t.Errorf("blue used %d connections, want 1", n)
	}
	for c := range s.conns["[green]"] {
		if s.conns["[blue]"][c] {
			t.Error("green got the connection that red had left")
		}
	}
	if n := pool.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// What may share a connection has the same address and the same TLS.
func TestWhatSharesAConnection(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is good for 127.0.0.1
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	trust, again := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	secure, plain := newTenancy(), newTenancy()
	to := "https://" + secure.serve(t, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	toPlain := "http://" + plain.serve(t)
	pool := &otlpgrpc.Pool{}
	var all exporter.Multi
	for _, o := range []otlpgrpc.Options{
		{Endpoint: to, TLS: trust},
		{Endpoint: to, TLS: trust},
		{Endpoint: to, TLS: again},
		{Endpoint: toPlain, TLS: trust},
		{Endpoint: toPlain, TLS: again},
		{Endpoint: toPlain},
	} {
		o.Pool = pool
		all = append(all, start(t, o))
	}
	if n := pool.Connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	if err := all.Export(t.Context(), pings(1)); err != nil {
		t.Error(err)
	}
	if err := all.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	each := exporter.CountOf(pings(1)...).Spans
	if secure.spans["[]"] != 3*each || plain.spans["[]"] != 3*each {
		t.Errorf("%d and %d spans came, want %d", secure.spans["[]"], plain.spans["[]"], 3*each)
	}
}

// Without a scheme the environment would decide whether it is TLS.
func TestPoolNeedsAScheme(t *testing.T) {
	if _, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: "127.0.0.1:4317", Pool: &otlpgrpc.Pool{}}); err == nil {
		t.Error("no error")
	}
}
