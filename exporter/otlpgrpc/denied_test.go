// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// guarded answers with a code whoever has not the token of the moment.
type guarded struct {
	code  codes.Code
	token atomic.Value
	calls atomic.Int32
}

func (g *guarded) answer(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
	g.calls.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("authorization"); len(got) != 1 || got[0] != g.token.Load() {
		return nil, status.Error(g.code, "who are you?")
	}
	return accept(ctx, call)
}

// TestDeniedIsKept: while access is denied, everything is kept, on disk; when the credentials
// are renewed, which nobody tells the exporter, it arrives. There is one warning, however many
// tries there were.
func TestDeniedIsKept(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			g := &guarded{code: code}
			g.token.Store("one")
			s := serve(t, g.answer)
			var log logBuffer
			var credentials atomic.Value
			credentials.Store("one")
			o := spooled(t.TempDir(), s.address)
			o.Logger = log.logger()
			o.Headers = map[string]string{"authorization": "one"}
			o.RenewHeaders = func() (map[string]string, error) {
				if credentials.Load() == "" {
					return nil, errors.New("no such file")
				}
				return map[string]string{"authorization": credentials.Load().(string)}, nil
			}
			e := start(t, o)
			traces := pings(50)
			export(t, e, traces[:10])
			settled(t, e)
			g.token.Store("two")
			credentials.Store("") // it is just being replaced
			export(t, e, traces[10:])
			before := g.calls.Load()
			eventually(t, "some tries", func() bool { return g.calls.Load() > before+3 })
			eventually(t, "all traces on disk", func() bool { s := e.Stats(); return s.Spooled == s.Queued })
			if got := e.Stats(); got.Queued != exporter.CountOf(traces[10:]...) || len(got.Lost) != 0 {
				t.Errorf("while access is denied: %+v", got)
			}
			credentials.Store("two")
			settled(t, e)
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			s.mustHave(t, traces)
			s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
			for _, once := range []string{"the endpoint denies access", "credentials cannot be read again", "export recovered"} {
				if n := strings.Count(log.String(), once); n != 1 {
					t.Errorf("%q is logged %d times, want once:\n%s", once, n, log.String())
				}
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 2 {
				t.Errorf("%d warnings, want two:\n%s", n, log.String())
			}
		})
	}
}

// TestDeniedSurvivesAnEnd: what was denied until the end is in the spool, and whoever opens it
// with better credentials sends it.
func TestDeniedSurvivesAnEnd(t *testing.T) {
	t.Parallel()
	g := &guarded{code: codes.Unauthenticated}
	g.token.Store("good")
	s := serve(t, g.answer)
	o := spooled(t.TempDir(), s.address)
	o.Queue = exporter.Queue{BatchSpans: 1}
	o.Headers = map[string]string{"authorization": "bad"}
	e := start(t, o)
	traces := pings(30)
	export(t, e, traces)
	eventually(t, "a try", func() bool { return g.calls.Load() > 0 })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := e.Stats(); got.Spooled != exporter.CountOf(traces...) {
		t.Errorf("left %+v", got)
	}
	o.Headers = map[string]string{"authorization": "good"}
	e = start(t, o)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
}

// TestDeniedWithoutSpool: it is bounded, and counted as what it is; what comes after access
// was granted arrives.
func TestDeniedWithoutSpool(t *testing.T) {
	t.Parallel()
	for code, cause := range map[codes.Code]exporter.Cause{codes.Unauthenticated: "unauthenticated", codes.PermissionDenied: "permission_denied"} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			g := &guarded{code: code}
			g.token.Store("two")
			s := serve(t, g.answer)
			var log logBuffer
			var credentials atomic.Value
			credentials.Store("one")
			e := start(t, otlpgrpc.Options{
				Endpoint: s.address, Queue: one, Backoff: slow, Logger: log.logger(), Headers: map[string]string{"authorization": "one"},
				RenewHeaders: func() (map[string]string, error) {
					return map[string]string{"authorization": credentials.Load().(string)}, nil
				},
			})
			traces := pings(20)
			export(t, e, traces[:10])
			settled(t, e)
			if got := e.Stats().Lost[cause]; got != exporter.CountOf(traces[:10]...) {
				t.Errorf("lost %+v", e.Stats().Lost)
			}
			credentials.Store("two")
			export(t, e, traces[10:])
			settled(t, e)
			if err := e.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), string(cause)) {
				t.Errorf("Shutdown: %v", err)
			}
			s.mustHave(t, traces[11:]) // the first one was sent with what had been read before
			s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one:\n%s", n, log.String())
			}
		})
	}
}
