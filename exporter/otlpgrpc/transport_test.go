// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
)

// TLS and headers may be given without the environment, and http:// still means plain text.
func TestTransportOptions(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate, which is good for 127.0.0.1
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	secure := serve(t, accept, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	plain := serve(t, accept)
	for url, s := range map[string]*server{"https://" + secure.address: secure, "http://" + plain.address: plain} {
		e, err := otlpgrpc.New(otlpgrpc.Options{
			Endpoint: url, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Headers: map[string]string{"authorization": "Bearer x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t, e, time.Minute); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if got := s.header.Get("authorization"); len(got) != 1 || got[0] != "Bearer x" {
			t.Errorf("%s: header %q", url, got)
		}
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// A message names what has to be changed.
func TestSourceIsNamed(t *testing.T) {
	e, err := otlpgrpc.New(otlpgrpc.Options{Endpoint: refusing(t), Source: "export.otlp.endpoint"})
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t, e, time.Minute); err == nil || !strings.HasSuffix(err.Error(), "(export.otlp.endpoint)") {
		t.Errorf("%v", err)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
