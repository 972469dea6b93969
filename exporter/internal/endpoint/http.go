// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

const (
	defaultHTTP     = "http://localhost:4318"
	defaultHTTPPort = "4318"
)

// The protocols, as OTEL_EXPORTER_OTLP_PROTOCOL has them.
const (
	ProtocolGRPC = "grpc"
	ProtocolHTTP = "http/protobuf"
)

// Lookup returns the value of a variable, whose name is given without what it begins with, and
// its whole name.
type Lookup func(name string) (value, variable string)

// Variable is a [Lookup] of the environment: that for the signal, if it is set, else that for
// all.
func (s Signal) Variable(name string) (value, variable string) {
	for _, variable := range []string{s.prefix() + name, prefix + name} {
		if v := strings.TrimSpace(os.Getenv(variable)); v != "" {
			return v, variable
		}
	}
	return "", ""
}

func (s Signal) prefix() string { return prefix + string(s) + "_" }

// path is where the signal goes below an endpoint that is for all signals.
func (s Signal) path() string { return "/v1/" + strings.ToLower(string(s)) }

// Explicit is an endpoint that was set, "" if none was, and where: a flag or a setting.
type Explicit struct{ Text, Source string }

// ResolveHTTP reads an endpoint for OTLP over HTTP: http://host:port, https://host:port or
// host:port, which is TLS if wantsTLS is set. The path that the variable for all signals names
// is that of all signals, to which that of the signal is added; the path of the signal's own
// variable is taken as it is. The error says what to write instead.
func (s Signal) ResolveHTTP(set Explicit, get Lookup, wantsTLS bool) (Endpoint, error) {
	text, source, base := set.Text, set.Source, false
	if text == "" {
		text, source = get("ENDPOINT")
		base = source == prefix+"ENDPOINT"
	}
	if text == "" {
		text, source = defaultHTTP, set.Source
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", text
		if wantsTLS {
			scheme = "https"
		}
	}
	u, err := parseHTTP(scheme, rest, text, source)
	if err != nil {
		return Endpoint{}, err
	}
	if !found && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), defaultHTTPPort)
	}
	own := source == s.prefix()+"ENDPOINT"
	switch {
	case base:
		u.Path = strings.TrimSuffix(u.Path, "/") + s.path()
	case own && u.Path == "":
		u.Path = "/"
	case u.Path == "" || u.Path == "/" && !own:
		u.Path = s.path()
	}
	return Endpoint{URL: u.String(), Display: u.Host, Source: source}, nil
}

func parseHTTP(scheme, rest, text, source string) (*url.URL, error) {
	if strings.Contains(rest, "@") { // what may be a password is not repeated
		return nil, fmt.Errorf("%s: it contains a user or password; pass credentials as headers", source)
	}
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("%s: %q begins with %s://; OTLP over HTTP goes to http://host:port, or https://host:port for TLS", source, text, scheme)
	}
	u, err := url.Parse(scheme + "://" + rest)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, fmt.Errorf("%s: %q is not http://host:port, https://host:port or host:port", source, text)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: it contains a ? or #, which OTLP does not use; pass keys as headers", source)
	}
	return u, nil
}
