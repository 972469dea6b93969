// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"

	"github.com/dwelltrace/dwell/exporter/otlphttp"
)

func TestCheck(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	secure := httptest.NewTLSServer(nil)
	t.Cleanup(secure.Close)
	well := serve(t, nil)
	missing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(missing.Close)
	closed := serve(t, func(w http.ResponseWriter, _ int, _ []byte) bool {
		reply(w, 401, &status.Status{Message: "who are\nyou?"})
		return true
	})
	for _, tt := range []struct{ name, endpoint, want string }{
		{"well", well.URL, ""},
		{"silent", silent.Addr().String(), `^the OTLP endpoint 127.* does not answer; is it an HTTP endpoint`},
		{"no such path", missing.URL, `^the endpoint 127.* does not accept traces over OTLP/HTTP: 404 Not Found: .*; is the path of http://127.*/v1/traces right\? \(--otlp-endpoint\)$`},
		{"no credentials", closed.URL, `^the OTLP endpoint 127.* denies access: 401 Unauthorized: who are; are the credentials right`},
		{"another certificate", secure.URL, `^cannot reach the OTLP endpoint 127.*; is OTEL_EXPORTER_OTLP_CERTIFICATE right\?`},
		{"plain text at a TLS URL", strings.Replace(well.URL, "http://", "https://", 1), `; does it speak plain text\? then write http:// before it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := start(t, otlphttp.Options{Endpoint: tt.endpoint, Timeout: time.Minute})
			patience := time.Minute // a busy machine may take longer than somebody would like to wait
			if tt.name == "silent" {
				patience = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := e.Check(ctx)
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) || strings.Contains(err.Error(), "\n"):
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
