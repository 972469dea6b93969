// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// quick makes tries follow each other fast.
var quick = otlpgrpc.Backoff{First: 2 * time.Millisecond, Max: 20 * time.Millisecond}

// spooled are options with a spool, and every trace in a request of its own, one after the
// other.
func spooled(dir, address string) otlpgrpc.Options {
	return otlpgrpc.Options{
		Endpoint: address, Backoff: quick, Timeout: time.Minute,
		Queue: one, Spool: exporter.Spool{Dir: dir},
	}
}

// eventually waits for a condition that will come if nothing is broken.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(time.Minute)
	for !cond() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func export(t testing.TB, e *otlpgrpc.Exporter, traces []*trace.Trace) {
	t.Helper()
	if err := e.Export(context.Background(), traces); err != nil {
		t.Fatal(err)
	}
}

// settled waits until nothing is queued.
func settled(t testing.TB, e *otlpgrpc.Exporter) {
	t.Helper()
	eventually(t, "an empty queue", func() bool { return e.Stats().Queued == exporter.Count{} })
}

// first answers the first n calls with an error and then accepts.
func first(n int, err error) answer {
	return func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if call < n {
			return nil, err
		}
		return accept(ctx, call)
	}
}

func exhausted(t *testing.T, comeBack time.Duration) error {
	s, err := status.New(codes.ResourceExhausted, "too much").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(comeBack)})
	if err != nil {
		t.Fatal(err)
	}
	return s.Err()
}

// TestFaultsWithSpool sends ten traces, one a request, to endpoints with faults that
// pass. What was exported is what arrived and what was counted as lost.
func TestFaultsWithSpool(t *testing.T) {
	t.Parallel()
	one := exporter.CountOf(pings(1)...)
	hang := func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if call < 2 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return accept(ctx, call)
	}
	reject := func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
		return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 2}}, nil
	}
	type losses map[exporter.Cause]exporter.Count
	for _, tt := range []struct {
		name    string
		answer  answer
		timeout time.Duration
		lost    losses
		// calls is how many requests arrive, 0 for "does not matter".
		calls int
	}{
		{name: "unavailable", answer: first(5, status.Error(codes.Unavailable, "later")), calls: 15},
		{name: "aborted", answer: first(1, status.Error(codes.Aborted, "again")), calls: 11},
		{name: "exhausted, says when to come back", answer: first(3, exhausted(t, time.Millisecond)), calls: 13},
		{name: "invalid", answer: first(2, status.Error(codes.InvalidArgument, "no")), calls: 10, lost: losses{"invalid_argument": {Traces: 2, Spans: 2 * one.Spans}}},
		{name: "rejects a part", answer: reject, calls: 10, lost: losses{"rejected": {Spans: 20}}},
		{name: "hangs", answer: hang, timeout: 200 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			o := spooled(t.TempDir(), s.address)
			if tt.timeout != 0 {
				o.Timeout = tt.timeout
			}
			e := start(t, o)
			traces := pings(10)
			export(t, e, traces)
			settled(t, e)
			err := e.Shutdown(t.Context())
			if (err != nil) != (tt.lost != nil) {
				t.Errorf("Shutdown: %v", err)
			}
			stats := e.Stats()
			if diff := cmp.Diff(tt.lost, losses(stats.Lost)); diff != "" && len(tt.lost)+len(stats.Lost) > 0 {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			if tt.calls != 0 && s.calls != tt.calls {
				t.Errorf("%d requests, want %d", s.calls, tt.calls)
			}
			s.mustBalance(t, exporter.CountOf(traces...), stats)
		})
	}
}

// mustBalance fails the test unless what arrived is what was exported without what is
// counted as lost. Spans that an answer rejects have arrived, too.
func (s *server) mustBalance(t testing.TB, in exporter.Count, stats exporter.Stats) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	traces := make(map[string]bool)
	for _, id := range s.spans {
		traces[id] = true
	}
	got := exporter.Count{Traces: int64(len(traces)), Spans: int64(len(s.spans))}
	if want := in.Minus(stats.TotalLost()); got.Minus(stats.Lost[exporter.CauseRejected]) != want || stats.Sent != want {
		t.Errorf("%v exported, %v arrived: %+v", in, got, stats)
	}
}

// TestBackendGoesAwayAndComesBack: everything that was exported meanwhile goes to the
// spool and arrives when the backend is there again, and each state is logged once.
func TestBackendGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if away.Load() {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	var log logBuffer
	o := spooled(t.TempDir(), s.address)
	o.Logger = log.logger()
	e := start(t, o)
	traces := pings(300)
	export(t, e, traces[:100])
	settled(t, e)
	away.Store(true)
	export(t, e, traces[100:])
	eventually(t, "all traces in the spool", func() bool { s := e.Stats(); return s.Spooled == s.Queued })
	if got := e.Stats().Spooled; got != exporter.CountOf(traces[100:]...) {
		t.Errorf("%v in the spool", got)
	}
	away.Store(false)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines logged, want two:\n%s", n, log.String())
	}
}

// TestRefusedThenServed: the first process finds nobody at the address and is shut
// down; the second one sends what the first has left.
func TestRefusedThenServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	traces := pings(20)
	e := start(t, spooled(dir, refusing(t)))
	export(t, e, traces)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown counts as lost what is in the spool: %v", err)
	}
	if got := e.Stats(); got.Spooled != exporter.CountOf(traces...) || len(got.Lost) != 0 {
		t.Errorf("left %+v", got)
	}
	s := serve(t, accept)
	e = start(t, spooled(dir, s.address))
	settled(t, e)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	if got := e.Stats(); got.Recovered != exporter.CountOf(traces...) || got.Sent != got.Recovered {
		t.Errorf("%+v", got)
	}
}

// TestShutdownOfAHungBackend: what hangs when the time is over is in the spool.
func TestShutdownOfAHungBackend(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 100)
	s := serve(t, func(ctx context.Context, _ int) (*coltracepb.ExportTraceServiceResponse, error) {
		arrived <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	e := start(t, spooled(t.TempDir(), s.address))
	traces := pings(20)
	export(t, e, traces)
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got := e.Stats(); got.Spooled != exporter.CountOf(traces...) || len(got.Lost) != 0 {
		t.Errorf("left %+v", got)
	}
}

// resetting is a listener whose first connections are reset in the middle of a request.
type resetting struct {
	net.Listener
	resets atomic.Int32
}

func (l *resetting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.resets.Add(-1) >= 0 {
		return &resetConn{Conn: c}, nil
	}
	return c, err
}

// resetConn is reset when more than some headers came.
type resetConn struct {
	net.Conn
	n int
}

func (c *resetConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.n += n; c.n > 2000 {
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Conn.Close()
	}
	return n, err
}

func TestBackendDiesInMidRequest(t *testing.T) {
	t.Parallel()
	l := &resetting{Listener: listen(t)}
	l.resets.Store(3)
	s := &server{answer: accept, spans: make(map[string]string), times: make(map[string]int)}
	g := grpc.NewServer()
	coltracepb.RegisterTraceServiceServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	defer func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	e := start(t, spooled(t.TempDir(), l.Addr().String()))
	traces := pings(50)
	export(t, e, traces)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if left := l.resets.Load(); left >= 0 {
		t.Errorf("%d connections were not reset", left)
	}
	s.mustHave(t, traces)
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
}

// TestDeadConnection: nothing comes back on the first connection, as if the other host
// had vanished; its successor at the same address is found.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	var dead atomic.Value
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		p, _ := peer.FromContext(ctx)
		dead.CompareAndSwap(nil, p.Addr.String())
		if dead.Load() == p.Addr.String() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return accept(ctx, call)
	})
	o := spooled(t.TempDir(), s.address)
	o.Timeout = 200 * time.Millisecond
	e := start(t, o)
	traces := pings(3)
	export(t, e, traces)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
}

// TestSpoolLimit: what found no room in the spool is counted, and the rest arrives.
func TestSpoolLimit(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if !back.Load() {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	o := spooled(t.TempDir(), s.address)
	o.Spool.MaxBytes = 1 << 20
	o.Queue.BatchSpans = 256
	e := start(t, o)
	traces := pings(400)
	export(t, e, traces)
	eventually(t, "a full spool", func() bool { s := e.Stats(); return s.Spooled == s.Queued })
	back.Store(true)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "spool_full") {
		t.Errorf("Shutdown: %v", err)
	}
	s.mustHave(t, traces[len(traces)-100:])
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
}
