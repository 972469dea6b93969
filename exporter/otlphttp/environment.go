// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// The protocols, as OTEL_EXPORTER_OTLP_PROTOCOL has them.
const (
	ProtocolGRPC = endpoint.ProtocolGRPC
	ProtocolHTTP = endpoint.ProtocolHTTP
)

// EnvironmentProtocol returns the protocol for which the environment asks and the name of the
// variable, or empty strings.
func EnvironmentProtocol() (protocol, variable string) {
	return osEnvironment().get("PROTOCOL")
}

// environment is the variables OTEL_EXPORTER_OTLP_* by name
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
type environment map[string]string

const (
	general = "OTEL_EXPORTER_OTLP_"
	special = "OTEL_EXPORTER_OTLP_TRACES_"
)

func osEnvironment() environment {
	e := environment{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, general) {
			e[name] = strings.TrimSpace(value)
		}
	}
	return e
}

// get returns the value of a variable and its whole name: that for traces, if it is set.
func (e environment) get(name string) (value, variable string) {
	for _, prefix := range []string{special, general} {
		if v := e[prefix+name]; v != "" {
			return v, prefix + name
		}
	}
	return "", ""
}

func (e environment) timeout() (time.Duration, error) {
	text, variable := e.get("TIMEOUT")
	if text == "" {
		return 0, nil
	}
	ms, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of milliseconds", variable, text)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// compress reports whether requests are to be compressed.
func (e environment) compress() (bool, error) {
	switch text, variable := e.get("COMPRESSION"); text {
	case "", "none":
		return false, nil
	case "gzip":
		return true, nil
	default:
		return false, fmt.Errorf("%s: %q is not a compression that OTLP has: write gzip or none", variable, text)
	}
}

// headers reads name=value,name=value; values are percent-encoded. They are not repeated in
// errors, because they may be secret.
func (e environment) headers() (map[string]string, error) {
	text, variable := e.get("HEADERS")
	if text == "" {
		return nil, nil //nolint:nilnil // none are not an error
	}
	out := make(map[string]string)
	for i, pair := range strings.Split(text, ",") {
		name, value, found := strings.Cut(pair, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, fmt.Errorf("%s: the %d. of its pairs is not name=value with a percent-encoded value", variable, i+1)
		}
		out[name] = plain
	}
	return out, nil
}

// wantsTLS says what an endpoint without a scheme means.
func (e environment) wantsTLS() bool {
	if text, _ := e.get("INSECURE"); text != "" {
		return strings.EqualFold(text, "false")
	}
	for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE"} {
		if v, _ := e.get(name); v != "" {
			return true
		}
	}
	return false
}

// tls returns the settings of the files that the variables name.
func (e environment) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if path, variable := e.get("CERTIFICATE"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s does not contain a certificate", variable, path)
		}
	}
	cert, variable := e.get("CLIENT_CERTIFICATE")
	key, other := e.get("CLIENT_KEY")
	switch {
	case cert == "" && key == "":
		return config, nil
	case cert == "":
		return nil, fmt.Errorf("%s: %sCLIENT_CERTIFICATE is required, too", other, general)
	case key == "":
		return nil, fmt.Errorf("%s: %sCLIENT_KEY is required, too", variable, general)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
