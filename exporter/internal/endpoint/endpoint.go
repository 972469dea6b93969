// SPDX-License-Identifier: Apache-2.0

// Package endpoint says where OTLP goes over gRPC, for each signal. It reads the
// environment itself, because OpenTelemetry's clients ignore values there that they
// cannot parse, 127.0.0.1:4317 for one.
package endpoint

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Signal is one of OpenTelemetry's signals, as the names of variables have it.
type Signal string

// The signals that dwell sends.
const (
	Traces  Signal = "TRACES"
	Metrics Signal = "METRICS"
)

const (
	prefix          = "OTEL_EXPORTER_OTLP_"
	defaultEndpoint = "http://localhost:4317"
	defaultPort     = "4317"
)

// Environment returns the endpoint that the environment names for a signal and the
// name of the variable, or empty strings. That of the signal wins:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
func (s Signal) Environment() (endpoint, variable string) {
	return s.Variable("ENDPOINT")
}

// Timeout returns how long one request may take, as the environment says in milliseconds, or 0.
func (s Signal) Timeout() time.Duration {
	for _, name := range []string{prefix + string(s) + "_TIMEOUT", prefix + "TIMEOUT"} {
		if ms, err := strconv.Atoi(strings.TrimSpace(os.Getenv(name))); err == nil && ms > 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return 0
}

// Endpoint is where to send to.
type Endpoint struct {
	// URL is http:// or https:// with host and port, or "" to leave it to the client,
	// which reads the environment.
	URL string
	// Display is for messages: host and port.
	Display string
	// Source is what the user would change: a flag, a setting or a variable.
	Source string
}

// Plain reports whether the endpoint is to be reached without TLS.
func (e Endpoint) Plain() bool { return strings.HasPrefix(e.URL, "http://") }

// HostPort returns host and port of a URL as [Endpoint] has them.
func HostPort(endpointURL string) string {
	_, hostPort, _ := strings.Cut(endpointURL, "://")
	return hostPort
}

// Resolve reads an endpoint: host:port, http://host:port or https://host:port. If
// explicit is empty, the environment says where to send to, or it is localhost. source
// is where explicit was set. The error says what to write instead.
func (s Signal) Resolve(explicit, source string) (Endpoint, error) {
	text, fromEnvironment := explicit, false
	if text == "" {
		if v, name := s.Environment(); v != "" {
			text, source, fromEnvironment = v, name, true
		} else {
			text = defaultEndpoint
		}
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", text
		if s.WantsTLS() {
			scheme = "https"
		}
	}
	if scheme == "unix" && fromEnvironment {
		return Endpoint{Display: text, Source: source}, nil
	}
	return s.parse(scheme, rest, text, source)
}

func (s Signal) parse(scheme, rest, text, source string) (Endpoint, error) {
	if scheme != "http" && scheme != "https" {
		return Endpoint{}, fmt.Errorf("%s: %q begins with %s://; %s go over gRPC: write host:port or http://host:port, or https://host:port for TLS",
			source, text, scheme, strings.ToLower(string(s)))
	}
	if strings.Contains(rest, "@") { // what may be a password is not repeated
		return Endpoint{}, fmt.Errorf("%s: it contains a user or password, which OTLP over gRPC does not use; pass credentials as headers", source)
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Hostname() == "":
		return Endpoint{}, fmt.Errorf("%s: %q is not host:port, http://host:port or https://host:port", source, text)
	case u.Path != "" && u.Path != "/":
		return Endpoint{}, fmt.Errorf("%s: %q has a path, which OTLP over gRPC does not use; leave out %s", source, text, u.Path)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	host := net.JoinHostPort(u.Hostname(), port)
	return Endpoint{URL: scheme + "://" + host, Display: host, Source: source}, nil
}

// WantsTLS reports whether an endpoint without a scheme is to be reached over TLS, as the
// environment says.
func (s Signal) WantsTLS() bool {
	for _, signal := range []string{string(s) + "_", ""} {
		if v := os.Getenv(prefix + signal + "INSECURE"); v != "" {
			return strings.EqualFold(v, "false")
		}
	}
	for _, signal := range []string{string(s) + "_", ""} {
		for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE"} {
			if os.Getenv(prefix+signal+name) != "" {
				return true
			}
		}
	}
	return false
}
