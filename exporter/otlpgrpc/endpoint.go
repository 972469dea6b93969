// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// The variables of the OpenTelemetry specification that name an endpoint, the
// first that is set wins:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
var endpointVariables = [...]string{
	"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
	"OTEL_EXPORTER_OTLP_ENDPOINT",
}

const (
	endpointFlag    = "--otlp-endpoint"
	defaultEndpoint = "http://localhost:4317"
	defaultPort     = "4317"
)

// EnvironmentEndpoint returns the endpoint that the environment names and the name
// of the variable, or empty strings.
func EnvironmentEndpoint() (endpoint, variable string) {
	for _, name := range endpointVariables {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return v, name
		}
	}
	return "", ""
}

// CheckEndpoint returns the error that [New] gives for Options.Endpoint or the endpoint
// of the environment, and connects to nothing.
func CheckEndpoint(explicit string) error {
	_, err := resolveEndpoint(explicit)
	return err
}

// endpoint is where to send to.
type endpoint struct {
	// url is for otlptracegrpc, or "" to leave it to the environment.
	url string
	// display is for messages: host and port.
	display string
	// source is what the user would change: a flag or a variable.
	source string
}

// resolveEndpoint reads the environment itself, since otlptracegrpc ignores there
// what it cannot parse, 127.0.0.1:4317 for one.
func resolveEndpoint(explicit string) (endpoint, error) {
	text, source := explicit, endpointFlag
	if text == "" {
		text, source = EnvironmentEndpoint()
	}
	if text == "" {
		text, source = defaultEndpoint, endpointFlag
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", text
		if environmentWantsTLS() {
			scheme = "https"
		}
	}
	if scheme == "unix" && source != endpointFlag {
		return endpoint{display: text, source: source}, nil
	}
	return parseEndpoint(scheme, rest, text, source)
}

func parseEndpoint(scheme, rest, text, source string) (endpoint, error) {
	if scheme != "http" && scheme != "https" {
		return endpoint{}, fmt.Errorf("%s: %q begins with %s://; traces go over gRPC: write host:port or http://host:port, or https://host:port for TLS", source, text, scheme)
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Hostname() == "":
		return endpoint{}, fmt.Errorf("%s: %q is not host:port, http://host:port or https://host:port", source, text)
	case u.Path != "" && u.Path != "/":
		return endpoint{}, fmt.Errorf("%s: %q has a path, which OTLP over gRPC does not use; leave out %s", source, text, u.Path)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	host := net.JoinHostPort(u.Hostname(), port)
	return endpoint{url: scheme + "://" + host, display: host, source: source}, nil
}

// environmentWantsTLS says what an endpoint without a scheme means.
func environmentWantsTLS() bool {
	for _, signal := range []string{"TRACES_", ""} {
		if v := os.Getenv("OTEL_EXPORTER_OTLP_" + signal + "INSECURE"); v != "" {
			return strings.EqualFold(v, "false")
		}
	}
	for _, signal := range []string{"TRACES_", ""} {
		for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE"} {
			if os.Getenv("OTEL_EXPORTER_OTLP_"+signal+name) != "" {
				return true
			}
		}
	}
	return false
}
