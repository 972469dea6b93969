// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlphttp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// refusal decides whether the request of the given number, from 0, is refused, and then answers
// it.
type refusal func(w http.ResponseWriter, call int, body []byte) bool

// server is an OTLP endpoint on the loopback interface that notes what it accepted.
type server struct {
	*httptest.Server
	refuse refusal

	mu      sync.Mutex
	calls   int
	spans   map[string]string // span ID -> trace ID
	request *http.Request     // the last one
}

func serve(t *testing.T, r refusal) *server {
	t.Helper()
	s := &server{refuse: r, spans: make(map[string]string)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" && err == nil {
		var unpacked *gzip.Reader
		if unpacked, err = gzip.NewReader(bytes.NewReader(sent)); err == nil {
			sent, err = io.ReadAll(unpacked)
		}
	}
	var request coltracepb.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(sent, &request) != nil {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call := s.calls
	s.calls++
	s.request = r
	if s.refuse != nil && s.refuse(w, call, sent) {
		return
	}
	for _, rs := range request.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.spans[hex.EncodeToString(span.SpanId)] = hex.EncodeToString(span.TraceId)
			}
		}
	}
	reply(w, http.StatusOK, &coltracepb.ExportTraceServiceResponse{})
}

func reply(w http.ResponseWriter, code int, m proto.Message) {
	body, _ := proto.Marshal(m)
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(code)
	w.Write(body)
}

// last returns the last request, and how many there were.
func (s *server) last() (*http.Request, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.request, s.calls
}

func (s *server) mustHave(t *testing.T, traces []*trace.Trace) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := 0
	for _, tr := range traces {
		want += len(tr.Spans)
		for i := range tr.Spans {
			if got := s.spans[tr.Spans[i].ID.String()]; got != tr.ID.String() {
				t.Errorf("span %s arrived in trace %q, want %s", &tr.Spans[i], got, tr.ID)
			}
		}
	}
	if len(s.spans) != want {
		t.Errorf("%d spans arrived, want %d", len(s.spans), want)
	}
}

func pings(n int) []*trace.Trace {
	traces := make([]*trace.Trace, n)
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
	}
	return traces
}

func start(t *testing.T, o otlphttp.Options) *otlphttp.Exporter {
	t.Helper()
	e, err := otlphttp.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sendAll exports the traces and shuts the exporter down when all are settled.
func sendAll(t *testing.T, e *otlphttp.Exporter, traces []*trace.Trace) error {
	t.Helper()
	if err := e.Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	for e.Stats().Queued != (exporter.Count{}) {
		if t.Context().Err() != nil {
			t.Fatalf("%+v", e.Stats())
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // until all are settled
	}
	return e.Shutdown(context.WithoutCancel(t.Context()))
}
