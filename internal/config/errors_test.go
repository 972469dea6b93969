// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
)

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		file string
		env  []string
		want []string
	}{
		"unknown name":        {"trace:\n  timout: 1s\n", nil, []string{"f:2:3: trace.timout: there is no such setting; did you mean timeout?"}},
		"unknown section":     {"\nexports:\n  file: /x\n", nil, []string{"f:2:1: exports: there is no such setting; did you mean export?"}},
		"in the wrong place":  {"endpoint: a:1\n", nil, []string{"f:1:1: endpoint: there is no such setting; did you mean export.otlp.endpoint?"}},
		"unlike all":          {"log:\n  colour: red\n", nil, []string{"f:2:3: log.colour: there is no such setting; below log you can set: level, format"}},
		"no unit":             {"trace:\n  timeout: 5\n", nil, []string{`f:2:12: trace.timeout: "5" has no unit; use 5s or 5ms`}},
		"no duration":         {"trace: {timeout: soon}\n", nil, []string{`f:1:18: trace.timeout: "soon" is not a valid duration; use for example 200ms, 2s or 1m30s`}},
		"no size":             {"trace:\n  ring_size: 64 megs\n", nil, []string{`f:2:14: trace.ring_size: "64 megs" is not a valid size; use bytes or for example 512KiB, 64MiB or 1GiB`}},
		"huge size":           {"trace:\n  ring_size: 99999999999TiB\n", nil, []string{`f:2:14: trace.ring_size: "99999999999TiB" is too large`}},
		"small ring":          {"trace:\n  timeout: 1s\n  ring_size: 4KiB\n", nil, []string{"f:3:14: trace.ring_size: 4KiB is not between 1MiB and 1GiB"}},
		"address":             {"trace:\n  addresses:\n    - 192.0.2.1\n    - example\n", nil, []string{`f:4:7: trace.addresses[1]: "example" is neither an address nor a prefix like 192.0.2.0/24`}},
		"glob":                {"trace: {netns: [\"a[\"]}\n", nil, []string{`f:1:17: trace.netns[0]: "a[" is not a valid glob: a [ is not closed, or it ends with a backslash`}},
		"interface":           {"trace: {interfaces: ['a:1']}\n", nil, []string{`f:1:22: trace.interfaces[0]: "a:1" is not a valid interface name: use at most 127 characters, without spaces, slashes or colons`}},
		"port":                {"trace: {vxlan_ports: [70000]}\n", nil, []string{`f:1:23: trace.vxlan_ports[0]: "70000" is not a valid port; it must be between 1 and 65535`}},
		"ports":               {"trace:\n  vxlan_ports: [1,2,3,4,5,6,7,8,9]\n", nil, []string{"f:2:16: trace.vxlan_ports: 9 ports; at most 8 are possible"}},
		"none and some":       {"trace:\n  netfilter: [none, host]\n", nil, []string{"f:2:14: trace.netfilter: none cannot be combined with namespaces; use one or the other"}},
		"ratio":               {"sampling:\n  ratio: 1.5\n", nil, []string{"f:2:10: sampling.ratio: 1.5 is not between 0 and 1"}},
		"ratio 0":             {"sampling:\n  ratio: 0\n", nil, []string{"f:2:10: sampling.ratio: 0 in the kernel traces nothing; set sampling.at to export to have only dropped, incomplete and unreachable pings exported, or choose a ratio above 0"}},
		"slow, in the kernel": {"sampling:\n  ratio: 0.1\n  keep_slower_than: 1ms\n", nil, []string{"f:3:21: sampling.keep_slower_than: how long a ping takes is not known in the kernel, where sampling.ratio leaves pings out; set sampling.at to export, or keep_slower_than to 0s"}},
		"another place":       {"sampling:\n  at: home\n", nil, []string{`f:2:7: sampling.at: "home" is not one of kernel, export`}},
		"not a number":        {"sampling:\n  ratio: .nan\n", nil, []string{`f:2:10: sampling.ratio: ".nan" is not a number`}},
		"number":              {"export: {queue: {spans: many}}\n", nil, []string{`f:1:25: export.queue.spans: "many" is not a whole number`}},
		"bool":                {"containers: {enabled: yes}\n", nil, []string{`f:1:23: containers.enabled: "yes" is neither true nor false`}},
		"endpoint":            {"export:\n  otlp:\n    endpoint: grpc://a:1\n", nil, []string{`f:3:15: export.otlp.endpoint: "grpc://a:1" begins with grpc://; write host:port, http://host:port, or https://host:port for TLS`}},
		"protocol":            {"export:\n  otlp:\n    protocol: http/json\n", nil, []string{`f:3:15: export.otlp.protocol: "http/json" is not one of auto, grpc, http/protobuf`}},
		"path over gRPC":      {"export:\n  otlp:\n    endpoint: http://a:1/v1\n    protocol: grpc\n", nil, []string{`f:3:15: export.otlp.endpoint: "http://a:1/v1" has a path, which OTLP over gRPC does not use; leave out /v1`}},
		"path of endpoint":    {"export:\n  otlp:\n    endpoint: http://a:1/v1\n", nil, []string{`f:3:15: export.otlp.endpoint: "http://a:1/v1" has a path, which OTLP over gRPC does not use; leave out /v1, or set protocol: http/protobuf`}},
		"header":              {"export:\n  otlp:\n    headers:\n      X Key: a\n", nil, []string{"f:4:14: export.otlp.headers.X Key: a header name may contain only letters, digits, and _ . -"}},
		"header twice":        {"export:\n  otlp:\n    headers:\n      X-Org: a\n      X-ORG: b\n", nil, []string{"f:5:14: export.otlp.headers.X-ORG: it is the same header as X-Org; give it once"}},
		"no variable":         {"export:\n  otlp:\n    headers: {a: \"${env:NONE}\"}\n", nil, []string{"f:3:18: export.otlp.headers.a: ${env:NONE}: the environment variable NONE is not set"}},
		"no reference":        {"export: {otlp: {headers: {a: \"${NONE}\"}}}\n", nil, []string{`f:1:30: export.otlp.headers.a: "${NONE}" is not a valid reference; use ${env:NAME} or ${file:PATH}, and $$ for a dollar sign`}},
		"key without cert":    {"export: {otlp: {tls: {key_file: /k}}}\n", nil, []string{"f:1:33: export.otlp.tls.key_file: cert_file is required, too"}},
		"TLS in plain text":   {"export:\n  otlp:\n    endpoint: http://a:1\n    tls:\n      ca_file: /ca\n", nil, []string{"f:5:16: export.otlp.tls.ca_file: not used without TLS: insecure: true or http:// makes the endpoint plain text"}},
		"credentials":         {"export:\n  otlp:\n    endpoint: http://me:s3cret@a:1\n", nil, []string{"f:3:15: export.otlp.endpoint: it contains a user or password, which OTLP does not use; pass credentials as export.otlp.headers"}},
		"query of endpoint":   {"metrics:\n  otlp:\n    endpoint: a:1?b=c\n", nil, []string{"f:3:15: metrics.otlp.endpoint: it contains a ? or #, which OTLP does not use; leave it out, and pass keys as export.otlp.headers"}},
		"port of endpoint":    {"export:\n  otlp:\n    endpoint: a:99999\n", nil, []string{`f:3:15: export.otlp.endpoint: "99999" is not a valid port number`}},
		"line in a name":      {"host:\n  name: |\n    a\n    b\n", nil, []string{`f:2:9: host.name: "a\nb\n" contains line breaks or control characters`}},
		"relative":            {"export: {spool: {dir: spool}}\n", nil, []string{`f:1:23: export.spool.dir: "spool" is not an absolute path`}},
		"buckets":             {"metrics:\n  buckets:\n  - 1ms\n  - 1us\n", nil, []string{"f:4:5: metrics.buckets[1]: 1µs is not more than the previous one; buckets must ascend"}},
		"listen":              {"http: {listen: localhost}\n", nil, []string{`f:1:16: http.listen: "localhost" is not host:port or :port`}},
		"level":               {"log: {level: loud}\n", nil, []string{`f:1:14: log.level: "loud" is not one of debug, info, warn, error`}},
		"format":              {"log: {format: xml}\n", nil, []string{`f:1:15: log.format: "xml" is not one of text, json`}},
		"list for a value":    {"trace:\n  timeout: [1s]\n", nil, []string{"f:2:12: trace.timeout: this is a list; it should be a single value"}},
		"value for a list":    {"trace:\n  netns: host\n", nil, []string{"f:2:10: trace.netns: this is a single value; it should be a list, like [a, b]"}},
		"value for a section": {"trace: all\n", nil, []string{"f:1:8: trace: this is a single value; it should be settings, like netns:"}},
		"section for a value": {"trace:\n  timeout:\n    a: 1s\n", nil, []string{"f:3:5: trace.timeout: this is a block of names and values; it should be a single value"}},
		"list for all":        {"- trace\n", nil, []string{"f:1:1: this is a list; it should be settings, like host:"}},
		"anchor":              {"trace: &a\n  timeout: 1s\n", nil, []string{"f:1:8: trace: this is an anchor, an alias or a tag, which are not supported; it should be settings, like netns:"}},
		"two documents":       {"trace:\n---\nlog:\n", nil, []string{"f:3:1: a second YAML document; the configuration must be a single document"}},
		"all at once": {
			"log:\n  level: loud\ntrace:\n  timeout: 5\n  ring: 1\nshutdown: {timeout: 0s}\n", nil,
			[]string{
				`f:2:10: log.level: "loud" is not one of debug, info, warn, error`,
				`f:4:12: trace.timeout: "5" has no unit; use 5s or 5ms`,
				"f:5:3: trace.ring: there is no such setting; below trace you can set: netns, interfaces, addresses, hypervisors, netfilter, timeout, ring_size, max_rate, vxlan_ports, key, root",
				"f:6:21: shutdown.timeout: 0s is not more than 0",
			},
		},
		"variable":         {"", []string{"DWELL_TRACE_TIMEOUT=5"}, []string{`DWELL_TRACE_TIMEOUT: trace.timeout: "5" has no unit; use 5s or 5ms`}},
		"checked variable": {"sampling: {ratio: 0.5}", []string{"DWELL_SAMPLING_RATIO=-1"}, []string{"DWELL_SAMPLING_RATIO: sampling.ratio: -1 is not between 0 and 1"}},
		"list variable":    {"", []string{"DWELL_TRACE_ADDRESSES=10.0.0.0/8,x"}, []string{`DWELL_TRACE_ADDRESSES: trace.addresses: "x" is neither an address nor a prefix like 192.0.2.0/24`}},
		"pairs variable":   {"", []string{"DWELL_EXPORT_OTLP_HEADERS=secret"}, []string{`DWELL_EXPORT_OTLP_HEADERS: export.otlp.headers: not a list of pairs; use name=value,name=value`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("f", []byte(test.file), test.env)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the parser itself says differs between its versions; where is what counts.
func TestSyntaxErrors(t *testing.T) {
	for file, want := range map[string]string{
		"trace:\n  timeout: 1s\n  timeout: 2s\n": "f:3:",
		"trace:\n  netns: [a\nlog:\n":            "f:3:",
		"trace:\n\ttimeout: 1s\n":                "f:2:1: this line is indented with a tab",
		"trace:\n  timeout: 1s\n \tnetns: [a]\n": "f:3:2: this line is indented with a tab",
		"log: {level: \"info}\n":                 "f:1:",
	} {
		_, err := config.Parse("f", []byte(file), nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", file, err)
		}
		if strings.Contains(want, "tab") != (err != nil && strings.Contains(err.Error(), "a tab")) {
			t.Errorf("%q: %v", file, err)
		}
	}
}
