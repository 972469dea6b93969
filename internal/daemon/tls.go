// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/dwelltrace/dwell/internal/config"
)

// digest identifies the contents of the TLS files, which may be renewed under the same
// names.
type digest [sha256.Size]byte

// loadTLS reads what the configuration names. It returns nil if that is nothing, so that
// OpenTelemetry's variables hold.
func loadTLS(l *config.Loaded) (*tls.Config, digest, error) {
	return readTLS(l.Export.OTLP.TLS, func(setting string, err error) error {
		return l.Error("export.otlp.tls."+setting, err)
	})
}

// readTLS is loadTLS for any endpoint. wrap makes the error about one of the settings.
func readTLS(c config.TLS, wrap func(setting string, err error) error) (*tls.Config, digest, error) {
	if c.CAFile == "" && c.CertFile == "" && c.Insecure != config.Off {
		return nil, digest{}, nil
	}
	pem, sum := map[string][]byte{}, sha256.New()
	for _, f := range []struct{ name, path string }{
		{"ca_file", c.CAFile}, {"cert_file", c.CertFile}, {"key_file", c.KeyFile},
	} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			return nil, digest{}, wrap(f.name, err)
		}
		pem[f.name] = text
		sum.Write(text)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if text, ok := pem["ca_file"]; ok {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(text) {
			return nil, digest{}, wrap("ca_file", fmt.Errorf("%s contains no PEM certificate", c.CAFile))
		}
	}
	if text, ok := pem["cert_file"]; ok {
		pair, err := tls.X509KeyPair(text, pem["key_file"])
		if err != nil {
			return nil, digest{}, wrap("cert_file", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, digest(sum.Sum(nil)), nil
}
