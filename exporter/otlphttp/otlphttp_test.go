// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlphttp"
)

// one is a queue that sends every trace in a request of its own, one after the other.
var one = exporter.Queue{BatchSpans: 1, Senders: 1}

func spooled(t *testing.T, s *server) otlphttp.Options {
	t.Helper()
	return otlphttp.Options{
		Endpoint: s.URL, Queue: one, Timeout: time.Minute, Spool: exporter.Spool{Dir: t.TempDir()},
		Backoff: otlphttp.Backoff{First: time.Millisecond, Max: time.Millisecond},
	}
}

func TestWhatIsSent(t *testing.T) {
	for _, compression := range []string{"none", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc,x-scope-orgid = red")
			s := serve(t, nil)
			traces := pings(20)
			if err := sendAll(t, start(t, otlphttp.Options{Endpoint: s.URL, OTLP: otlp.Options{Version: "1.2.3"}}), traces); err != nil {
				t.Error(err)
			}
			s.mustHave(t, traces)
			r, _ := s.last()
			want := map[string]string{
				"Content-Type": "application/x-protobuf", "Authorization": "Bearer abc", "X-Scope-Orgid": "red", "User-Agent": "dwell/1.2.3",
				"Content-Encoding": strings.TrimPrefix(compression, "none"),
			}
			for name, value := range want {
				if got := r.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
		})
	}
}

// TestCompressionThatIsSet wins over the environment.
func TestCompressionThatIsSet(t *testing.T) {
	for _, test := range []struct {
		environment string
		set         exporter.Compression
		want        string
	}{{"", exporter.Gzip, "gzip"}, {"none", exporter.Gzip, "gzip"}, {"gzip", exporter.Uncompressed, ""}, {"zip", exporter.Uncompressed, ""}} {
		t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", test.environment)
		s := serve(t, nil)
		if err := sendAll(t, start(t, otlphttp.Options{Endpoint: s.URL, Compression: test.set}), pings(3)); err != nil {
			t.Error(err)
		}
		if r, _ := s.last(); r.Header.Get("Content-Encoding") != test.want {
			t.Errorf("%+v: %q", test, r.Header.Get("Content-Encoding"))
		}
	}
}

// TestRefusedOnce: what an endpoint may take later is sent again until it does, from the spool,
// and nothing is lost.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"too many": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"not now":         func(w http.ResponseWriter) { reply(w, 503, &status.Status{Message: "full"}) },
		"bad gateway":     func(w http.ResponseWriter) { http.Error(w, "no backend", http.StatusBadGateway) },
		"gateway timeout": func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) },
		"broken off":      func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"who are you?":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
		"not you":         func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, call int, _ []byte) bool {
				if call < 2 {
					refuse(w)
				}
				return call < 2
			})
			traces := pings(5)
			e := start(t, spooled(t, s))
			if err := sendAll(t, e, traces); err != nil {
				t.Error(err)
			}
			s.mustHave(t, traces)
			if got := e.Stats(); got.Sent != exporter.CountOf(traces...) || len(got.Lost) != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestRefusedForGood: what another try would not change is lost at once, and counted like the
// same fault over gRPC.
func TestRefusedForGood(t *testing.T) {
	for code, cause := range map[int]exporter.Cause{
		400: "invalid_argument", 404: "unimplemented", 415: "unimplemented", 500: "unknown", 302: "unknown", 413: exporter.CauseTooLarge,
	} {
		s := serve(t, func(w http.ResponseWriter, _ int, _ []byte) bool {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			return true
		})
		e := start(t, spooled(t, s))
		traces := pings(3)
		if err := sendAll(t, e, traces); err == nil {
			t.Errorf("%d: Shutdown says nothing of what was lost", code)
		}
		if got := e.Stats().Lost[cause]; got != exporter.CountOf(traces...) {
			t.Errorf("%d: lost %v, want all as %s", code, e.Stats().Lost, cause)
		}
		if _, calls := s.last(); calls != len(traces) {
			t.Errorf("%d: %d requests for %d traces", code, calls, len(traces))
		}
	}
}

// A message over the endpoint's limit is sent in halves.
func TestTooLarge(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ int, body []byte) bool {
		if len(body) > 20_000 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
		return len(body) > 20_000
	})
	o := spooled(t, s)
	o.Queue = exporter.Queue{Senders: 1}
	traces := pings(40)
	e := start(t, o)
	if err := sendAll(t, e, traces); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
}

func TestPartialSuccess(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ int, _ []byte) bool {
		reply(w, 200, &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "too old"}})
		return true
	})
	var log bytes.Buffer
	e := start(t, otlphttp.Options{Endpoint: s.URL, Queue: one, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := sendAll(t, e, pings(1)); err == nil {
		t.Error("Shutdown says nothing of what was lost")
	}
	if got := e.Stats().Lost[exporter.CauseRejected]; got != (exporter.Count{Spans: 2}) {
		t.Errorf("lost %v", e.Stats().Lost)
	}
	if !strings.Contains(log.String(), "too old") {
		t.Errorf("log: %s", &log)
	}
}

// TestRenewedCredentials: while access is denied, headers are asked for again.
func TestRenewedCredentials(t *testing.T) {
	token := "one"
	s := serve(t, nil)
	s.refuse = func(w http.ResponseWriter, _ int, _ []byte) bool {
		if s.request.Header.Get("Authorization") != "two" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	o := spooled(t, s)
	o.Headers = map[string]string{"authorization": token}
	o.RenewHeaders = func() (map[string]string, error) { return map[string]string{"authorization": "two"}, nil }
	traces := pings(3)
	if err := sendAll(t, start(t, o), traces); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
}

// TestEnvironment sends over TLS with what only the environment names.
func TestEnvironment(t *testing.T) {
	s := &server{spans: make(map[string]string)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	cert := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(cert, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL+"/base/")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", cert)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
	e := start(t, otlphttp.Options{})
	if err := e.Check(t.Context()); err != nil {
		t.Error(err)
	}
	traces := pings(2)
	if err := sendAll(t, e, traces); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	if r, _ := s.last(); r.URL.Path != "/base/v1/traces" {
		t.Errorf("sent to %s", r.URL)
	}
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "secret",
		"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/no/such/file", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/no/such/file",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if _, err := otlphttp.New(otlphttp.Options{}); err == nil || !strings.Contains(err.Error(), variable) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}

// What is somebody else's endpoint gets nothing of what the environment says.
func TestPrivate(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
	s := serve(t, nil)
	traces := pings(1)
	if err := sendAll(t, start(t, otlphttp.Options{Endpoint: s.URL, Private: true}), traces); err != nil {
		t.Error(err)
	}
	if r, _ := s.last(); r.Header.Get("Authorization") != "" {
		t.Error("the operator's credentials were sent")
	}
}
