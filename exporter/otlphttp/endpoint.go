// SPDX-License-Identifier: Apache-2.0

package otlphttp

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

const (
	// endpointFlag is where an endpoint was set unless Options.Source says otherwise.
	endpointFlag = "--otlp-endpoint"

	defaultEndpoint = "http://localhost:4318"
	defaultPort     = "4318"
	// signalPath is where traces go below an endpoint that is for all signals.
	signalPath = "/v1/traces"
)

// target is where to send to.
type target struct {
	url string
	// display is for messages: host and port. source is what the user would change.
	display, source string
}

// plain reports whether the endpoint is to be reached without TLS.
func (t target) plain() bool { return strings.HasPrefix(t.url, "http://") }

// CheckEndpoint returns the error that [New] gives for Options.Endpoint or the endpoint of the
// environment, and connects to nothing.
func CheckEndpoint(explicit string) error {
	_, err := resolve(explicit, "", osEnvironment())
	return err
}

// resolve reads an endpoint. The path that the variable for all signals names is that of all
// signals, to which that of traces is added; the path of the one for traces is taken as it is.
func resolve(explicit, source string, env environment) (target, error) {
	text, base := explicit, false
	if source == "" {
		source = endpointFlag
	}
	if text == "" {
		text, source = env.get("ENDPOINT")
		base = source == general+"ENDPOINT"
	}
	if text == "" {
		text, source = defaultEndpoint, endpointFlag
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", text
		if env.wantsTLS() {
			scheme = "https"
		}
	}
	u, err := parse(scheme, rest, text, source)
	if err != nil {
		return target{}, err
	}
	if !found && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	switch {
	case base:
		u.Path = strings.TrimSuffix(u.Path, "/") + signalPath
	case source == special+"ENDPOINT" && u.Path == "":
		u.Path = "/"
	case u.Path == "" || u.Path == "/" && source != special+"ENDPOINT":
		u.Path = signalPath
	}
	return target{url: u.String(), display: u.Host, source: source}, nil
}

func parse(scheme, rest, text, source string) (*url.URL, error) {
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
