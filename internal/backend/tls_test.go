// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/backend"
	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/backend/client"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name+".pem") }

// make signs a certificate and writes it and its key to files.
func (a *authority) make(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore = time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(a.path(name), "CERTIFICATE", der)
	a.write(a.path(name+"-key"), "PRIVATE KEY", keyDER)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// client signs a certificate for a client with these names, the common one first.
func (a *authority) client(file, common string, dns, uris []string) string {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: common}, DNSNames: dns, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			a.t.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	a.make(file, c)
	return file
}

// overTLS is a server for clients with certificates of ca.
func overTLS(t *testing.T, ca *authority, o backend.ServerOptions) *setup {
	t.Helper()
	ca.make("server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	o.Listen = "127.0.0.1:0"
	o.TLS = backend.TLSFiles{Cert: ca.path("server"), Key: ca.path("server-key"), ClientCA: ca.path("ca")}
	return start(t, o)
}

// code returns what a client with a certificate of ca is answered: "" for a success,
// "no connection" if it does not come that far.
func (s *setup) code(t *testing.T, server, ca *authority, file, tenant string) string {
	t.Helper()
	c, err := client.New(t.Context(), client.Options{
		Backend: "https://" + s.server.Addr().String(),
		TLS:     client.TLSFiles{Cert: ca.path(file), Key: ca.path(file + "-key"), CA: server.path("ca")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = c.Summary(t.Context(), tenant); err == nil {
		return ""
	}
	if code := client.Code(err); code != "" {
		return code
	}
	return "no connection"
}

// The names in a certificate say who asks; whoever has none, or none that is valid, is not
// answered at all.
func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "ca")
	p := policy()
	p.Operators.Certificates = []string{"Operator.example"}
	s := overTLS(t, ca, backend.ServerOptions{Policy: p})
	ca.client("red", "nobody", []string{"RED.example"}, nil)
	ca.client("blue", "red.example", nil, []string{"spiffe://example/blue"})
	ca.client("common", "red.example", nil, nil)
	ca.client("wild", "", []string{"*.example"}, nil)
	ca.client("operator", "operator.example", nil, nil)
	other.client("red", "nobody", []string{"red.example"}, nil)
	ca.make("expired", &x509.Certificate{
		DNSNames: []string{"red.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(-time.Minute),
	})
	for _, test := range []struct {
		ca           *authority
		file, tenant string
		want         string
	}{
		{ca, "red", "red", ""},
		{ca, "red", "blue", api.CodeNotYours},
		{ca, "red", "green", api.CodeNotYours},
		{ca, "red", client.Operator, api.CodeNotYours},
		{ca, "blue", "blue", ""},
		{ca, "blue", "red", api.CodeNotYours}, // with other names, the common one is none
		{ca, "common", "red", ""},
		{ca, "wild", "red", api.CodeNotYours},
		{ca, "operator", client.Operator, ""},
		{ca, "operator", "green", api.CodeUnknownTenant},
		{other, "red", "red", "no connection"},
		{ca, "expired", "red", "no connection"},
		{ca, "server", "red", "no connection"}, // is for servers
	} {
		if got := s.code(t, ca, test.ca, test.file, test.tenant); got != test.want {
			t.Errorf("%s asks for %q: %q, want %q", test.file, test.tenant, got, test.want)
		}
	}
	if n := s.server.Stats().Refused[api.ReasonBadCertificate]; n != 3 {
		t.Errorf("%d bad certificates are counted", n)
	}
}

// Without a certificate, or with a version of TLS before 1.3, nobody gets an answer.
func TestNoCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	s := overTLS(t, ca, backend.ServerOptions{})
	ca.client("red", "red.example", nil, nil)
	pair, err := tls.LoadX509KeyPair(ca.path("red"), ca.path("red-key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for name, config := range map[string]*tls.Config{
		"no certificate": {RootCAs: roots},
		"TLS 1.2":        {RootCAs: roots, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12},
	} {
		transport := &http.Transport{TLSClientConfig: config}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + s.server.Addr().String() + api.PathTenants)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
		transport.CloseIdleConnections()
	}
	if n := s.server.Stats().Refused[api.ReasonNoCertificate]; n != 1 {
		t.Errorf("%d missing certificates are counted", n)
	}
}

// Who cannot connect over TLS is told whose certificate is the reason, and what to do.
func TestWordsOfTLS(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "ca")
	s := overTLS(t, ca, backend.ServerOptions{})
	ca.client("red", "red.example", nil, nil)
	other.client("red", "red.example", nil, nil)
	for _, test := range []struct {
		files client.TLSFiles
		want  string
	}{
		{client.TLSFiles{Cert: other.path("red"), Key: other.path("red-key"), CA: ca.path("ca")}, "the agent refuses the certificate: "},
		{client.TLSFiles{Cert: ca.path("red"), Key: ca.path("red-key"), CA: other.path("ca")}, "name the CA's file (--ca)"},
	} {
		c, err := client.New(t.Context(), client.Options{Backend: "https://" + s.server.Addr().String(), TLS: test.files})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err = c.Summary(t.Context(), "red"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v does not say %q", err, test.want)
		}
	}
}

// With other CAs, connections and streams of before end, and new certificates are used.
func TestCAsAreExchanged(t *testing.T) {
	ca, next := newAuthority(t, "ca"), newAuthority(t, "ca")
	s := overTLS(t, ca, backend.ServerOptions{})
	ca.client("red", "red.example", nil, nil)
	next.client("red", "red.example", nil, nil)
	c, err := client.New(t.Context(), client.Options{
		Backend: "https://" + s.server.Addr().String(),
		TLS:     client.TLSFiles{Cert: ca.path("red"), Key: ca.path("red-key"), CA: ca.path("ca")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stream, err := c.Traces(t.Context(), "red", client.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := c.Summary(t.Context(), "red"); err != nil {
		t.Fatal(err)
	}

	commit(t, s, policy()) // nothing has changed
	if _, err := c.Summary(t.Context(), "red"); err != nil {
		t.Errorf("with the same CAs: %v", err)
	}
	if err := os.WriteFile(ca.path("ca"), []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.server.Prepare(policy(), true); err == nil {
		t.Error("a file without a certificate is taken")
	}
	if _, err := s.server.Prepare(policy(), false); err != nil {
		t.Errorf("a change of the policy alone: %v", err)
	}
	text, err := os.ReadFile(next.path("ca"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca.path("ca"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Summary(t.Context(), "red"); err != nil {
		t.Errorf("before it is put in force: %v", err)
	}
	commit(t, s, policy())
	if code := lastCode(t, stream); code != api.CodeRevoked {
		t.Errorf("the stream ends with %q", code)
	}
	if _, err := c.Summary(t.Context(), "red"); client.Code(err) != api.CodeUnauthenticated {
		t.Errorf("an open connection: %v", err)
	}
}

// commit puts a policy in force.
func commit(t *testing.T, s *setup, p backend.Policy) {
	t.Helper()
	change, err := s.server.Prepare(p, true)
	if err != nil {
		t.Fatal(err)
	}
	change()
}
