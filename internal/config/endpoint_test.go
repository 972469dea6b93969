// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
)

// Both endpoints take what OTLP over gRPC uses, and refuse what it does not.
func TestEndpoints(t *testing.T) {
	for _, path := range []string{"export.otlp.endpoint", "metrics.otlp.endpoint"} {
		enabled := "DWELL_METRICS_OTLP_ENABLED=true"
		for _, good := range []string{
			"''", "collector", "collector:4317", "'collector:0'", "'collector:65535'", "127.0.0.1", "'[::1]:4317'", "'[::1]'",
			"http://collector", "https://collector:4317", "http://collector:4317/", "'https://[2001:db8::1]:4317'", "a.example.",
		} {
			checkMistakes(t, mistakes(t, file(path, good), enabled))
		}
		for bad, want := range map[string]string{
			"':4317'":                  "is not host:port",
			"http://":                  "is not host:port",
			"'http://:4317'":           "is not host:port",
			"'https:///v1'":            "is not host:port",
			"'::1'":                    "is not host:port",
			"'[::1'":                   "is not host:port",
			"a:b:c":                    "is not host:port",
			"'a b:1'":                  "is not host:port",
			"'a:'":                     "",
			"a:65536":                  `"65536"`,
			"a:4317/":                  "",
			"a:4317/v1/traces":         "leave out /v1/traces",
			"https://a/x":              "leave out /x",
			"a:1//":                    "leave out //",
			"unix:///run/x":            "unix://",
			"HTTP://a:1":               "HTTP://",
			"grpcs://a:1":              "grpcs://",
			"'://a:1'":                 "://",
			"a:1?x":                    "?",
			"'a:1#x'":                  "#",
			"me@a:1":                   "user or password",
			"https://me:pass@a:1":      "user or password",
			"grpc://me:pass@a:1/x?y#z": "user or password",
			"grpc://a:1/x?y":           "? or #",
		} {
			got := mistakes(t, file(path, bad), enabled)
			if want == "" {
				checkMistakes(t, got)
				continue
			}
			checkMistakes(t, got, path)
			if len(got) == 1 && !strings.Contains(got[0].Problem, want) {
				t.Errorf("%s: %q does not say %q", bad, got[0].Problem, want)
			}
		}
	}
}

// Files for TLS are absolute, come in pairs, and are refused where there is no TLS that
// would use them.
func TestTLS(t *testing.T) {
	tls := func(name string) string { return "export.otlp.tls." + name }
	for text, want := range map[string][]string{
		"tls: {}":                            nil,
		"tls: {ca_file: /ca}":                nil,
		"tls: {cert_file: /c, key_file: /k}": nil,
		"tls: {ca_file: /ca, cert_file: /c, key_file: /k}": nil,
		"tls: {cert_file: /c}":                             {tls("cert_file")},
		"tls: {key_file: /k}":                              {tls("key_file")},
		"tls: {ca_file: ca}":                               {tls("ca_file")},
		"tls: {cert_file: c, key_file: ./k}":               {tls("cert_file"), tls("key_file")},
		"tls: {insecure: true}":                            nil,
		"tls: {insecure: false}":                           nil,
		"tls: {insecure: false, ca_file: /ca}":             nil,
		"tls: {insecure: true, ca_file: /ca}":              {tls("ca_file")},
		"tls: {insecure: true, cert_file: /c}":             {tls("cert_file"), tls("cert_file")},
		"endpoint: a":                                      nil,
		"endpoint: http://a, tls: {insecure: auto}":        nil,
		"endpoint: http://a, tls: {insecure: true}":        nil,
		"endpoint: http://a, tls: {insecure: false}":       {tls("insecure")},
		"endpoint: http://a, tls: {ca_file: /ca}":          {tls("ca_file")},
		"endpoint: https://a, tls: {insecure: auto}":       nil,
		"endpoint: https://a, tls: {insecure: false}":      nil,
		"endpoint: https://a, tls: {insecure: true}":       {tls("insecure")},
		"endpoint: https://a, tls: {ca_file: /ca}":         nil,
		"endpoint: 'a:1', tls: {insecure: true}":           nil,
		"endpoint: 'a:1', tls: {ca_file: /ca}":             nil,
		"endpoint: https://a, tls: {insecure: true, cert_file: /c, key_file: /k}": {
			tls("insecure"), tls("cert_file"), tls("key_file"),
		},
	} {
		checkMistakes(t, mistakes(t, "export: {otlp: {"+text+"}}"), want...)
	}
	for text, want := range map[string]string{
		"tls: {cert_file: /c}":                       "key_file",
		"tls: {key_file: /k}":                        "cert_file",
		"endpoint: https://a, tls: {insecure: true}": "https://",
		"endpoint: http://a, tls: {insecure: false}": "http://",
	} {
		if got := mistakes(t, "export: {otlp: {"+text+"}}"); len(got) != 1 || !strings.Contains(got[0].Problem, want) {
			t.Errorf("%s: %v does not name %s", text, got, want)
		}
	}
}
