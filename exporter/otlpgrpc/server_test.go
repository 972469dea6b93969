// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"sync"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// answer decides what a server says to a request of the given number, from 0.
type answer func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error)

func accept(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

// server is an OTLP endpoint on the loopback interface that notes what it accepted.
type server struct {
	coltracepb.UnimplementedTraceServiceServer
	address string
	answer  answer

	mu     sync.Mutex
	calls  int
	spans  map[string]string // span ID -> trace ID
	times  map[string]int    // span ID -> how often it has arrived
	header metadata.MD
}

func serve(t *testing.T, a answer, opts ...grpc.ServerOption) *server {
	t.Helper()
	s := &server{answer: a, spans: make(map[string]string), times: make(map[string]int)}
	s.address = serveGRPC(t, func(g *grpc.Server) { coltracepb.RegisterTraceServiceServer(g, s) }, opts...)
	return s
}

// serveGRPC starts a gRPC server that the test stops, and returns its address.
func serveGRPC(t testing.TB, register func(*grpc.Server), opts ...grpc.ServerOption) string {
	t.Helper()
	l := listen(t)
	g := grpc.NewServer(opts...)
	register(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refusing returns an address at which nobody listens as long as the test lasts: a socket
// that is bound, and no more, keeps it from the servers of tests that run meanwhile.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // there is nothing in it
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(loopback, uint16(bound.(*unix.SockaddrInet4).Port)).String()
}

func (s *server) Export(ctx context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	call := s.calls
	s.calls++
	s.header, _ = metadata.FromIncomingContext(ctx)
	s.mu.Unlock()
	response, err := s.answer(ctx, call)
	if err == nil {
		s.note(r)
	}
	return response, err
}

func (s *server) note(r *coltracepb.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				id := hex.EncodeToString(span.SpanId)
				s.spans[id] = hex.EncodeToString(span.TraceId)
				s.times[id]++
			}
		}
	}
}

// twice returns how many spans have arrived more than once.
func (s *server) twice() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.times {
		if times > 1 {
			n++
		}
	}
	return n
}

// received returns how many spans the server accepted.
func (s *server) received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.spans))
}

// mustHave fails the test for each span of the traces that did not arrive.
func (s *server) mustHave(t *testing.T, traces []*trace.Trace) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tr := range traces {
		for i := range tr.Spans {
			if got := s.spans[tr.Spans[i].ID.String()]; got != tr.ID.String() {
				t.Errorf("span %s arrived in trace %q, want %s", &tr.Spans[i], got, tr.ID)
			}
		}
	}
}
