// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func start(t *testing.T, o otlpgrpc.Options) *otlpgrpc.Exporter {
	t.Helper()
	e, err := otlpgrpc.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func pings(n int) []*trace.Trace {
	traces := make([]*trace.Trace, n)
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
	}
	return traces
}

// one is a queue that sends every trace in a request of its own, one after the other.
var one = exporter.Queue{BatchSpans: 1, Senders: 1}

func TestShutdownFlushes(t *testing.T) {
	s := serve(t, accept)
	e := start(t, otlpgrpc.Options{Endpoint: s.address, Queue: exporter.Queue{Delay: time.Hour}})
	traces := pings(3)
	if err := e.Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	want := exporter.Stats{Sent: exporter.CountOf(traces...), Lost: map[exporter.Cause]exporter.Count{}}
	if diff := cmp.Diff(want, e.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFaults sends five traces, one a request, to endpoints with faults. In every
// case what was exported is what arrived and what was counted as lost.
func TestFaults(t *testing.T) {
	t.Parallel()
	size := exporter.CountOf(pings(1)...)
	all := exporter.CountOf(pings(5)...)
	hang := func(ctx context.Context, _ int) (*coltracepb.ExportTraceServiceResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, tt := range []struct {
		name string
		// answer nil: nobody listens.
		answer answer
		// timeout of a batch; 0 for the default, which a busy machine keeps.
		timeout time.Duration
		lost    map[exporter.Cause]exporter.Count
		message string
	}{
		{"refused", nil, 100 * time.Millisecond, map[exporter.Cause]exporter.Count{"unavailable": all}, "not all traces reached"},
		{"hangs", hang, 100 * time.Millisecond, map[exporter.Cause]exporter.Count{"deadline_exceeded": all}, "no answer in time"},
		{"fails once for good", func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
			if call == 1 {
				return nil, status.Error(codes.InvalidArgument, "no thanks")
			}
			return accept(ctx, call)
		}, 0, map[exporter.Cause]exporter.Count{"invalid_argument": size}, "no thanks"},
		{"rejects two spans of each", func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
			return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "too old"}}, nil
		}, 0, map[exporter.Cause]exporter.Count{"rejected": {Spans: 10}}, "rejected: 0 traces (10 spans)"},
		{"rejects everything", func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
			return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: size.Spans}}, nil
		}, 0, map[exporter.Cause]exporter.Count{"rejected": all}, "rejected: 5 traces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := refusing(t)
			if tt.answer != nil {
				address = serve(t, tt.answer).address
			}
			e := start(t, otlpgrpc.Options{Endpoint: address, Queue: one, Timeout: tt.timeout})
			if err := e.Export(t.Context(), pings(5)); err != nil {
				t.Fatal(err)
			}
			err := e.Shutdown(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.message) || !strings.Contains(err.Error(), address) {
				t.Errorf("Shutdown: %v, want %q and the address", err, tt.message)
			}
			want := exporter.Stats{Sent: all, Lost: tt.lost}
			want.Sent = want.Sent.Minus(want.TotalLost())
			got := e.Stats()
			if late := got.Lost["deadline_exceeded"]; tt.answer == nil && late != (exporter.Count{}) {
				// On a busy machine even a refusal may come too late.
				got.Lost["unavailable"] = got.Lost["unavailable"].Plus(late)
				delete(got.Lost, "deadline_exceeded")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnavailableIsTriedAgain(t *testing.T) {
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if call == 0 {
			return nil, status.Error(codes.Unavailable, "in a moment")
		}
		return accept(ctx, call)
	})
	e := start(t, otlpgrpc.Options{Endpoint: s.address})
	traces := pings(2)
	if err := e.Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
}

func TestWarningWithoutRejectedSpansIsNoLoss(t *testing.T) {
	s := serve(t, func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
		return &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{ErrorMessage: "slow down"}}, nil
	})
	var log logBuffer
	e := start(t, otlpgrpc.Options{Endpoint: s.address, Logger: log.logger()})
	if err := e.Export(t.Context(), pings(1)); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "slow down") {
		t.Errorf("log is %q", log.String())
	}
}

func TestFullQueueDropsWholeTracesAndNeverBlocks(t *testing.T) {
	gate := make(chan struct{})
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		<-gate
		return accept(ctx, call)
	})
	var log logBuffer
	traces := pings(100)
	size := exporter.CountOf(traces[:1]...).Spans
	e := start(t, otlpgrpc.Options{
		Endpoint: s.address, Logger: log.logger(),
		Queue: exporter.Queue{Spans: int(10 * size), BatchSpans: int(size)},
	})
	// The server answers nothing until all were exported: Export has not waited.
	for _, tr := range traces {
		if err := e.Export(t.Context(), []*trace.Trace{tr}); err != nil && !errors.Is(err, batch.ErrDropped) {
			t.Fatal(err)
		}
	}
	close(gate)
	err := e.Shutdown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "queue_full: 90 traces") {
		t.Errorf("Shutdown: %v", err)
	}
	stats := e.Stats()
	if in, out := exporter.CountOf(traces...).Spans, s.received()+stats.TotalLost().Spans; in != out {
		t.Errorf("%d spans exported; %d received and %v lost", in, s.received(), stats.TotalLost())
	}
	s.mustHave(t, traces[:10])
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines logged, want one:\n%s", n, log.String())
	}
}

func TestEachStateIsLoggedOnce(t *testing.T) {
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if call < 4 {
			return nil, status.Error(codes.Internal, "broken")
		}
		return accept(ctx, call)
	})
	var log logBuffer
	e := start(t, otlpgrpc.Options{Endpoint: s.address, Logger: log.logger(), Queue: one})
	if err := e.Export(t.Context(), pings(8)); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err == nil {
		t.Error("Shutdown says nothing of four lost traces")
	}
	want := "level=WARN msg=\"export is failing; undeliverable traces are dropped and counted\" endpoint=" + s.address + " error=broken\n" +
		"level=INFO msg=\"export recovered\" endpoint=" + s.address + " lost=\"internal: " + exporter.CountOf(pings(4)...).String() + "\"\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// logBuffer collects log lines without their time.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}
