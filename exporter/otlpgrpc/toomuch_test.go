// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// slow makes no second try within the time for a batch.
var slow = otlpgrpc.Backoff{First: time.Hour, Max: time.Hour}

// TestExhausted: too much, without a word about when it will be less, is kept for a while,
// after which it is lost and counted; what is taken meanwhile arrives.
func TestExhausted(t *testing.T) {
	t.Parallel()
	enough := status.Error(codes.ResourceExhausted, "quota")
	for _, tt := range []struct {
		name     string
		answer   answer
		patience time.Duration
		lost     bool
	}{
		{name: "passes", answer: first(5, enough), patience: time.Hour},
		{name: "does not pass", answer: func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) { return nil, enough }, patience: 1, lost: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			var log logBuffer
			o := spooled(t.TempDir(), s.address)
			o.Patience, o.Logger = tt.patience, log.logger()
			e := start(t, o)
			traces := pings(10)
			export(t, e, traces)
			settled(t, e)
			if err := e.Shutdown(t.Context()); (err != nil) != tt.lost {
				t.Errorf("Shutdown: %v", err)
			}
			if got := e.Stats().Lost["resource_exhausted"]; (got == exporter.CountOf(traces...)) != tt.lost {
				t.Errorf("lost %+v", e.Stats().Lost)
			}
			s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
			if n := strings.Count(log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one:\n%s", n, log.String())
			}
		})
	}
}

// TestExhaustedWithoutSpool: it is tried for as long as a batch may take, and counted.
func TestExhaustedWithoutSpool(t *testing.T) {
	t.Parallel()
	s := serve(t, first(5, status.Error(codes.ResourceExhausted, "quota")))
	e := start(t, otlpgrpc.Options{Endpoint: s.address, Queue: one, Backoff: slow})
	traces := pings(10)
	export(t, e, traces)
	settled(t, e)
	if err := e.Shutdown(t.Context()); err == nil {
		t.Error("Shutdown says nothing of what is lost")
	}
	if got := e.Stats().Lost["resource_exhausted"]; got != exporter.CountOf(traces[:5]...) {
		t.Errorf("lost %+v", e.Stats().Lost)
	}
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
}

// huge makes a trace that is too large all by itself.
func huge(seq int) *trace.Trace {
	t := pings(seq + 1)[seq]
	for range 2000 {
		s := t.Spans[len(t.Spans)-1]
		s.ID[0], s.ID[1], s.ID[2] = byte(len(t.Spans)), byte(len(t.Spans)>>8), 0xff
		t.Spans = append(t.Spans, s)
	}
	return t
}

// TestTooLarge: a request over the limit of a real server is sent in halves, until all traces
// have arrived but the one that is too large alone, which is counted.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	for name, dir := range map[string]string{"in memory": "", "with a spool": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, accept, grpc.MaxRecvMsgSize(limit))
			var log logBuffer
			o := otlpgrpc.Options{
				Endpoint: s.address, Backoff: quick, Timeout: time.Minute, Logger: log.logger(),
				Queue: exporter.Queue{Delay: time.Hour}, Spool: exporter.Spool{Dir: dir},
			}
			e := start(t, o)
			traces := append(pings(80), huge(80))
			traces = append(traces, pings(100)[81:]...)
			export(t, e, traces)
			if err := e.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "too_large: 1 trace ") {
				t.Errorf("Shutdown: %v", err)
			}
			stats := e.Stats()
			if got := stats.Lost[exporter.CauseTooLarge]; got != exporter.CountOf(traces[80]) || len(stats.Lost) != 1 {
				t.Errorf("lost %+v", stats.Lost)
			}
			s.mustHave(t, traces[:80])
			s.mustHave(t, traces[81:])
			s.mustBalance(t, exporter.CountOf(traces...), stats)
			if n := s.twice(); n != 0 {
				t.Errorf("%d spans have arrived twice", n)
			}
			if n := strings.Count(log.String(), "level=WARN msg=\"a single trace is larger"); n != 1 || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("logged:\n%s", log.String())
			}
		})
	}
}

// TestTooLargeInOtherWords: servers of other libraries say it differently.
func TestTooLargeInOtherWords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"grpc: received message larger than max (5000000 vs. 4194304)",
		"grpc: received message after decompression larger than max 4194304",
		"SERVER: Received message larger than max (5000000 vs. 4194304)",
		"gRPC message exceeds maximum size 4194304: 5000000",
		"Received message exceeds the maximum configured message size.",
	} {
		s := &server{spans: make(map[string]string), times: make(map[string]int)}
		s.answer = accept
		picky := &picky{server: s, text: text}
		s.address = serveGRPC(t, func(g *grpc.Server) { coltracepb.RegisterTraceServiceServer(g, picky) })
		e := start(t, otlpgrpc.Options{Endpoint: s.address, Backoff: slow, Queue: exporter.Queue{Delay: time.Hour}})
		traces := pings(9)
		export(t, e, traces)
		if err := e.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		s.mustHave(t, traces)
	}
}

// picky takes one trace a request.
type picky struct {
	*server
	text string
}

func (p *picky) Export(ctx context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	ids := map[string]bool{}
	for _, rs := range r.GetResourceSpans() {
		for _, s := range rs.GetScopeSpans()[0].GetSpans() {
			ids[string(s.GetTraceId())] = true
		}
	}
	if len(ids) > 1 {
		return nil, status.Error(codes.ResourceExhausted, p.text)
	}
	return p.server.Export(ctx, r)
}
