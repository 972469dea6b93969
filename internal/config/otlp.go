// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// headerName is gRPC's rule for metadata:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
// Capitals are taken, too, because backends' pages have them (X-Scope-OrgID), and sent as
// small letters.
var headerName = regexp.MustCompile(`^[0-9A-Za-z_.-]+$`)

// checkOTLP checks an endpoint, which is the setting or the element of a list at path.
func checkOTLP(path string, o *OTLP, bad report) {
	checkEndpoint(path+".endpoint", o.Endpoint, o.Protocol, bad)
	notNegative(path+".timeout", o.Timeout, bad)
	given := map[string]string{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(o.Headers))) { // small letters first
		lower := strings.ToLower(name)
		before, twice := given[lower]
		given[lower] = name
		at := path + ".headers." + name
		switch {
		case !headerName.MatchString(name):
			bad(at, "a header name may contain only letters, digits, and _ . -")
		case twice:
			bad(at, "it is the same header as %s; give it once", before)
		case strings.HasPrefix(lower, "grpc-"):
			bad(at, "names that begin with grpc- are reserved for gRPC")
		}
	}
	checkTLS(path, o, bad)
}

func checkTLS(path string, o *OTLP, bad report) {
	tls := &o.TLS
	for _, f := range []struct{ name, file string }{
		{"ca_file", tls.CAFile}, {"cert_file", tls.CertFile}, {"key_file", tls.KeyFile},
	} {
		if f.file == "" {
			continue
		}
		at := path + ".tls." + f.name
		absolute(at, f.file, bad)
		if tls.Insecure == On || strings.HasPrefix(o.Endpoint, "http://") {
			bad(at, "not used without TLS: insecure: true or http:// makes the endpoint plain text")
		}
	}
	switch {
	case tls.CertFile != "" && tls.KeyFile == "":
		bad(path+".tls.cert_file", "key_file is required, too")
	case tls.KeyFile != "" && tls.CertFile == "":
		bad(path+".tls.key_file", "cert_file is required, too")
	case tls.Insecure == On && strings.HasPrefix(o.Endpoint, "https://"):
		bad(path+".tls.insecure", "true means plain text, but "+path+".endpoint begins with https://")
	case tls.Insecure == Off && strings.HasPrefix(o.Endpoint, "http://"):
		bad(path+".tls.insecure", "false means TLS, but "+path+".endpoint begins with http://")
	}
}
