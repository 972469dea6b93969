// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
	"github.com/dwelltrace/dwell/internal/config"
)

// What the configuration says wins over the environment, which wins over gRPC.
func TestProtocol(t *testing.T) {
	for _, tt := range []struct {
		set     config.Protocol
		general string
		traces  string
		want    config.Protocol
	}{
		{config.AutoProtocol, "", "", config.GRPC},
		{config.AutoProtocol, "http/protobuf", "", config.HTTPProtobuf},
		{config.AutoProtocol, "http/protobuf", "grpc", config.GRPC},
		{config.AutoProtocol, "http/json", "", config.GRPC},
		{config.GRPC, "http/protobuf", "", config.GRPC},
		{config.HTTPProtobuf, "grpc", "", config.HTTPProtobuf},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", tt.general)
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", tt.traces)
		if got := protocolOf(config.OTLP{Protocol: tt.set}); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

// What the configuration says of compression is what both exporters take.
func TestCompressionOf(t *testing.T) {
	for set, want := range map[config.Compression]exporter.Compression{
		config.AutoCompression: exporter.EnvironmentCompression, config.Gzip: exporter.Gzip, config.Uncompressed: exporter.Uncompressed,
	} {
		if got := compressionOf(set); got != want {
			t.Errorf("%s: %q", set, got)
		}
	}
}

// Over HTTP, an endpoint gets its own headers, and a tenant's nothing of the environment.
func TestOverHTTP(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-operator=secret")
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path != "/v1/traces" || r.Header.Get("X-Scope-Orgid") != "red" || r.Header.Get("X-Operator") != "" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
	}))
	t.Cleanup(s.Close)
	e, err := openOTLP(config.HTTPProtobuf, otlpgrpc.Options{
		Endpoint: s.URL, Headers: map[string]string{"x-scope-orgid": "red"}, Pool: new(otlpgrpc.Pool), Compression: exporter.Gzip,
		Timeout: time.Minute, Queue: exporter.Queue{BatchSpans: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Export(t.Context(), []*trace.Trace{tracetest.Complete(1)}); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests", requests.Load())
	}
}
