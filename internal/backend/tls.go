// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
)

// TLSFiles are the PEM files of the server: its certificate with its key, and the CAs by
// which those of clients are verified. They are read again by [Server.Prepare] with renew.
type TLSFiles struct{ Cert, Key, ClientCA string }

// clientCAs verify the certificates of clients.
type clientCAs struct{ pool *x509.CertPool }

// identity is what was last read from the files.
type identity struct {
	certificate tls.Certificate
	clients     *clientCAs
}

// readTLS reads the files. CAs that have not changed are the same as before.
func (s *Server) readTLS() (*identity, error) {
	now, err := s.tlsFiles.read()
	if err != nil {
		return nil, err
	}
	if before := s.tls.Load(); before != nil && before.clients.pool.Equal(now.clients.pool) {
		now.clients = before.clients
	}
	return now, nil
}

// Check tells whether the files can be read and what is in them fits together.
func (f TLSFiles) Check() error {
	_, err := f.read()
	return err
}

func (f TLSFiles) read() (*identity, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the API: %w", err)
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("the CA of clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the CA of clients: %s contains no PEM certificate", f.ClientCA)
	}
	return &identity{pair, &clientCAs{pool}}, nil
}

// tlsConfig asks every client for a certificate. It is verified here and not by package tls,
// so that what is refused can be counted; nor are there sessions, which would outlive the
// CA that has verified them.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
		ClientAuth: tls.RequestClientCert,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.tls.Load()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
				ClientAuth: tls.RequestClientCert, ClientCAs: now.clients.pool,
				Certificates: []tls.Certificate{now.certificate}, VerifyConnection: s.verifyConnection,
			}, nil
		},
	}
}

// verifyConnection refuses a client whose certificate is not valid.
func (s *Server) verifyConnection(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		s.tally.refuse(api.ReasonNoCertificate)
		return errors.New("the client has no certificate")
	}
	if err := s.tls.Load().clients.verify(state.PeerCertificates); err != nil {
		s.tally.refuse(api.ReasonBadCertificate)
		return err
	}
	return nil
}

// verify returns why a chain of certificates, the client's first, does not lead to one of the
// CAs, or is not for clients, or not valid now.
func (c *clientCAs) verify(chain []*x509.Certificate) error {
	others := x509.NewCertPool()
	for _, cert := range chain[1:] {
		others.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: c.pool, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// callerOf returns who has proved by a certificate who it is, or nil if that no longer
// holds: the certificate has expired, or the CAs are others by now.
func (s *Server) callerOf(state *tls.ConnectionState) *caller {
	now := s.tls.Load()
	if state == nil || now == nil || len(state.PeerCertificates) == 0 || now.clients.verify(state.PeerCertificates) != nil {
		return nil
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return &caller{
		key: "key " + hex.EncodeToString(sum[:8]), names: namesOf(leaf), expires: leaf.NotAfter,
		ca: now.clients, chain: state.PeerCertificates,
	}
}

// namesOf returns what a certificate says its owner is called: its DNS names and URIs, and if
// it has neither, its common name. They are compared as they are: a wildcard matches
// nothing but itself.
func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = []string{c.Subject.CommonName}
	}
	return folded(names)
}

// stillVerified reports whether what was said of the caller holds now.
func (s *Server) stillVerified(c *caller) bool {
	if c.local {
		return true
	}
	now := s.tls.Load()
	if now == nil || time.Now().After(c.expires) {
		return false
	}
	return c.ca == now.clients || now.clients.verify(c.chain) == nil
}
