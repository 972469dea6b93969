// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

// onTLS makes a client that shows its certificate.
func onTLS(u *url.URL, f TLSFiles) (*Client, error) {
	if u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("the backend %q is not of the form https://host:port", u.Redacted())
	}
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("over https the agent wants a certificate: give one with its key (--cert, --key)")
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("the CA of the agent: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA of the agent: %s contains no PEM certificate", f.CA)
		}
	}
	return newClient("https://"+u.Host, &http.Transport{TLSClientConfig: config}), nil
}
