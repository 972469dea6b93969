// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

func TestCheck(t *testing.T) {
	silent := listen(t)
	t.Cleanup(func() { silent.Close() })
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	unauthenticated := serve(t, func(context.Context, int) (*coltracepb.ExportTraceServiceResponse, error) {
		return nil, status.Error(codes.Unauthenticated, "who are you?")
	})
	plain := serve(t, accept)
	refused := refusing(t)
	for _, tt := range []struct {
		name, endpoint string
		// want is a regular expression; empty for no error.
		want string
	}{
		{"well", plain.address, ""},
		{"refused", refused, `^cannot reach the OTLP endpoint ` + regexp.QuoteMeta(refused) + `: connection refused; is a collector listening there\? \(--otlp-endpoint\)$`},
		{"silent", silent.Addr().String(), `^the OTLP endpoint 127.* does not answer; is it a gRPC endpoint`},
		{"no such service", serveGRPC(t, func(*grpc.Server) {}), `^the endpoint 127.* does not accept traces over OTLP/gRPC: unknown service`},
		{"HTTP", web.Listener.Addr().String(), `^cannot reach the OTLP endpoint 127.*: .*server preface.*; is it a gRPC endpoint\?`},
		{"no credentials", unauthenticated.address, `^the OTLP endpoint 127.* denies access: who are you\?; are the credentials right`},
		{"plain text at a TLS URL", "https://" + plain.address, `^cannot reach the OTLP endpoint .*; does it speak plain text\? then write http:// before it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, otlpgrpc.Options{Endpoint: tt.endpoint})
			patience := time.Minute
			if tt.name == "silent" {
				patience = 100 * time.Millisecond
			}
			err := check(t, e, patience)
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()):
				t.Errorf("error %v, want %s", err, tt.want)
			case strings.Contains(err.Error(), "\n"):
				t.Errorf("more than one line: %q", err)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// check is Check with a time of its own: a busy machine may take longer to answer than
// somebody who waits for the agent to start would like.
func check(t *testing.T, e *otlpgrpc.Exporter, patience time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return e.Check(ctx)
}

// TestEnvironment sends through TLS with a certificate, headers and an endpoint
// that only the environment names.
func TestEnvironment(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is good for 127.0.0.1
	web.Close()
	cert := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(cert, block, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, accept, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing(t))
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", s.address)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", cert)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
	e := start(t, otlpgrpc.Options{})
	if err := check(t, e, time.Minute); err != nil {
		t.Error(err)
	}
	traces := pings(1)
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustHave(t, traces)
	if got := s.header.Get("authorization"); len(got) != 1 || got[0] != "Bearer abc" {
		t.Errorf("authorization header %q", got)
	}
}

func TestEndpointErrors(t *testing.T) {
	for _, tt := range []struct{ flag, variable, want string }{
		{"nonsense://x:1", "", `--otlp-endpoint: "nonsense://x:1" begins with nonsense://; traces go over gRPC: write host:port or http://host:port`},
		{"", "ftp://x:1", `OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://x:1" begins with ftp://`},
		{"http://", "", `--otlp-endpoint: "http://" is not host:port`},
		{"127.0.0.1:x", "", `--otlp-endpoint: "127.0.0.1:x" is not host:port`},
		{"http://127.0.0.1:4318/v1/traces", "", `has a path, which OTLP over gRPC does not use; leave out /v1/traces`},
		{"", "http://", `OTEL_EXPORTER_OTLP_ENDPOINT: "http://" is not host:port`},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tt.variable)
		e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: tt.flag})
		if early := otlpgrpc.CheckEndpoint(tt.flag); early == nil || err == nil || early.Error() != err.Error() {
			t.Errorf("CheckEndpoint(%q): %v", tt.flag, early)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%q): %v, want %s", tt.flag, err, tt.want)
		}
		if e != nil {
			t.Errorf("New(%q) returned an exporter that nobody will shut down", tt.flag)
		}
	}
}
