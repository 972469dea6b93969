// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net/url"
	"strings"
)

// checkEndpoint reports what an endpoint has that OTLP does not use, over gRPC not even a path. Nothing
// of it is ignored, and what may be a password is not repeated.
func checkEndpoint(at, endpoint string, protocol Protocol, bad report) {
	if endpoint == "" {
		return
	}
	scheme, rest, found := strings.Cut(endpoint, "://")
	if !found {
		scheme, rest = "http", endpoint
	}
	u, err := url.Parse("http://" + rest)
	switch {
	case strings.Contains(rest, "@"):
		bad(at, "it contains a user or password, which OTLP does not use; pass credentials as export.otlp.headers")
	case strings.ContainsAny(rest, "?#"):
		bad(at, "it contains a ? or #, which OTLP does not use; leave it out, and pass keys as export.otlp.headers")
	case scheme != "http" && scheme != "https":
		bad(at, "%q begins with %s://; write host:port, http://host:port, or https://host:port for TLS", endpoint, scheme)
	case err != nil || u.Hostname() == "":
		bad(at, "%q is not host:port, http://host:port or https://host:port", endpoint)
	case protocol == AutoProtocol && u.Path != "" && u.Path != "/":
		bad(at, "%q has a path, which OTLP over gRPC does not use; leave out %s, or set protocol: http/protobuf", endpoint, u.Path)
	case protocol == GRPC && u.Path != "" && u.Path != "/":
		bad(at, "%q has a path, which OTLP over gRPC does not use; leave out %s", endpoint, u.Path)
	case u.Port() != "":
		checkPort(at, u.Port(), bad)
	}
}
