// SPDX-License-Identifier: Apache-2.0

package exporter_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/otlphttp"
	"github.com/dwelltrace/dwell/internal/check/collectortest"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var acceptance = otlp.Options{
	Version:     "1.2.3",
	Host:        otlp.Host{ID: "5b0b1d9e", Name: "node-1"},
	Environment: otlp.Environment{{Key: "deployment.environment.name", Value: "prüfung"}},
}

// acceptanceTraces is one trace of each shape and enough others for many batches.
func acceptanceTraces() []*trace.Trace {
	traces := tracetest.All()
	for seq := range uint16(300) {
		traces = append(traces, tracetest.Complete(100+seq))
	}
	return traces
}

// TestCollectorReceivesWhatWasSent sends over gRPC to a real Collector and holds
// what it writes against what was sent.
func TestCollectorReceivesWhatWasSent(t *testing.T) {
	c := collectortest.Start(t)
	e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: c.GRPC, OTLP: acceptance})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // more than Check's own
	defer cancel()
	if err := e.Check(ctx); err != nil {
		t.Error(err)
	}
	traces := acceptanceTraces()
	exportAll(t, e, traces)
	compare(t, traces, c.Stop(t))
}

// TestCollectorReceivesOverHTTP is the same over HTTP, compressed.
func TestCollectorReceivesOverHTTP(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	c := collectortest.Start(t)
	e, err := otlphttp.New(otlphttp.Options{Endpoint: c.HTTP, OTLP: acceptance})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Check(ctx); err != nil {
		t.Error(err)
	}
	traces := acceptanceTraces()
	exportAll(t, e, traces)
	compare(t, traces, c.Stop(t))
}

// TestCollectorReadsTheFile hands the lines of an OTLP file, as they are, to a real
// Collector's receiver for OTLP/JSON.
func TestCollectorReadsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces.jsonl")
	e, err := otlpfile.New(otlpfile.Options{Path: path, OTLP: acceptance})
	if err != nil {
		t.Fatal(err)
	}
	traces := acceptanceTraces()
	exportAll(t, e, traces)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := collectortest.Start(t)
	for line := range bytes.Lines(text) {
		post(t, "http://"+c.HTTP+"/v1/traces", line)
	}
	compare(t, traces, c.Stop(t))
}

func exportAll(t *testing.T, e exporter.Exporter, traces []*trace.Trace) {
	t.Helper()
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func post(t *testing.T, url string, body []byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the Collector answers %s: %s %v", response.Status, answer, err)
	}
}

// received is a span with what stands around it.
type received struct {
	Resource *resourcepb.Resource
	Scope    *commonpb.InstrumentationScope
	Span     *tracepb.Span
}

// equal does what cmp does in a hundredth of the time.
func (r received) equal(s received) bool {
	return proto.Equal(r.Resource, s.Resource) && proto.Equal(r.Scope, s.Scope) && proto.Equal(r.Span, s.Span)
}

// bySpan flattens resources. An absent status and an empty one are the same.
func bySpan(t *testing.T, resources []*tracepb.ResourceSpans) map[string]received {
	t.Helper()
	spans := make(map[string]received)
	for _, rs := range resources {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				id := hex.EncodeToString(s.TraceId) + "/" + hex.EncodeToString(s.SpanId)
				if _, ok := spans[id]; ok {
					t.Errorf("span %s is there twice", id)
				}
				if s.Status == nil {
					s.Status = &tracepb.Status{}
				}
				spans[id] = received{rs.Resource, ss.Scope, s}
			}
		}
	}
	return spans
}

func compare(t *testing.T, sent []*trace.Trace, got []*tracepb.ResourceSpans) {
	t.Helper()
	want := bySpan(t, otlp.Spans(sent, acceptance))
	if n := exporter.CountOf(sent...).Spans; int64(len(want)) != n {
		t.Fatalf("%d spans to compare, want %d", len(want), n)
	}
	have := bySpan(t, got)
	for id, w := range want {
		if h, ok := have[id]; !ok {
			t.Errorf("span %s %q was sent and did not arrive", id, w.Span.Name)
		} else if !h.equal(w) {
			t.Errorf("span %s: what arrived (+) is not what was sent (-):\n%s", id, cmp.Diff(w, h, protocmp.Transform()))
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d spans arrived, %d were sent", len(have), len(want))
	}
}
