// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The environment chooses the protocol: a replay sends its spans over HTTP.
func TestReplayOverHTTP(t *testing.T) {
	var spans atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		var request coltracepb.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(sent, &request) != nil {
			http.Error(w, "not a request", http.StatusBadRequest)
			return
		}
		for _, rs := range request.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				spans.Add(int32(len(ss.Spans)))
			}
		}
	}))
	t.Cleanup(s.Close)
	p := dwell(t, "replay", "-o", "none", transcript("nat"))
	p.Env = append(p.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_TIMEOUT=60000")
	if status := p.exit(t); status != 0 {
		t.Errorf("status %d: %s", status, p.stderr.String())
	}
	if spans.Load() == 0 {
		t.Error("no span has arrived")
	}
}
