// SPDX-License-Identifier: Apache-2.0

package otlpmetrics_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/exporter/otlpmetrics"
)

// web is an OTLP endpoint over HTTP that notes what comes.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	received []*colmetricspb.ExportMetricsServiceRequest
}

func serveHTTP(t *testing.T) *web {
	t.Helper()
	w := &web{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		sent, err := io.ReadAll(body)
		m := &colmetricspb.ExportMetricsServiceRequest{}
		if err != nil || proto.Unmarshal(sent, m) != nil {
			t.Errorf("not a request: %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests, w.received = append(w.requests, r), append(w.received, m)
	}))
	t.Cleanup(w.Close)
	return w
}

// TestOverHTTP: the same metrics come over HTTP as over gRPC, where and as the options and the
// environment say.
func TestOverHTTP(t *testing.T) {
	registry := filled(t, metrics.Options{})
	s := serve(t, ok)
	if err := start(t, otlpmetrics.Options{Gatherer: registry, Endpoint: s.address}).Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := len(byName(s.received()))
	for name, test := range map[string]struct {
		options     func(url string) otlpmetrics.Options
		environment map[string]string // {} is the URL
		path        string
		encoding    string
	}{
		"options": {
			func(url string) otlpmetrics.Options {
				return otlpmetrics.Options{Endpoint: url, Protocol: "http/protobuf", Compression: exporter.Gzip, Headers: map[string]string{"x-scope-orgid": "red"}}
			}, nil, "/v1/metrics", "gzip",
		},
		"a path": {
			func(url string) otlpmetrics.Options {
				return otlpmetrics.Options{Endpoint: url + "/otlp/v1/metrics", Protocol: "http/protobuf", Headers: map[string]string{"x-scope-orgid": "red"}}
			}, nil, "/otlp/v1/metrics", "",
		},
		"the environment": {
			func(string) otlpmetrics.Options { return otlpmetrics.Options{} },
			map[string]string{
				"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": "{}/base",
				"OTEL_EXPORTER_OTLP_HEADERS": "x-scope-orgid=red", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
			},
			"/base/v1/metrics", "gzip",
		},
		"that for metrics": {
			func(string) otlpmetrics.Options {
				return otlpmetrics.Options{Headers: map[string]string{"x-scope-orgid": "red"}, Compression: exporter.Uncompressed}
			},
			map[string]string{
				"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "{}/as/it/is", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
			},
			"/as/it/is", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := serveHTTP(t)
			for variable, value := range test.environment {
				t.Setenv(variable, strings.ReplaceAll(value, "{}", w.URL))
			}
			o := test.options(w.URL)
			o.Gatherer = registry
			if err := start(t, o).Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			names := map[string]bool{}
			for _, m := range w.received {
				for name := range byName(m.GetResourceMetrics()) {
					names[name] = true
				}
			}
			if len(names) != want {
				t.Errorf("%d metrics came, over gRPC %d", len(names), want)
			}
			r := w.requests[0]
			got := []string{r.Method, r.URL.Path, r.Header.Get("Content-Encoding"), r.Header.Get("X-Scope-Orgid")}
			if diff := cmp.Diff([]string{"POST", test.path, test.encoding, "red"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckOverHTTP: what is wrong with an endpoint depends on the protocol.
func TestCheckOverHTTP(t *testing.T) {
	if err := otlpmetrics.CheckEndpoint("http://a:1/x", "http/protobuf"); err != nil {
		t.Error(err)
	}
	for endpoint, protocol := range map[string]string{"http://a:1/x": "grpc", "ftp://a": "http/protobuf", "a?b": "http/protobuf"} {
		if err := otlpmetrics.CheckEndpoint(endpoint, protocol); err == nil || !strings.Contains(err.Error(), "metrics.otlp.endpoint") {
			t.Errorf("%s over %s: %v", endpoint, protocol, err)
		}
	}
}
