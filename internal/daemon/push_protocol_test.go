// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"testing"

	"github.com/dwelltrace/dwell/internal/config"
)

// Metrics go as is said for them, else as traces do, and over HTTP beside those.
func TestWhereMetricsGo(t *testing.T) {
	for _, test := range []struct {
		text, variable string
		protocol       config.Protocol
		to             string
		wrong          bool
	}{
		{"", "", config.GRPC, "", false},
		{"", "http/protobuf", config.HTTPProtobuf, "", false},
		{"export: {otlp: {protocol: http/protobuf, endpoint: \"http://a:1\"}}", "", config.HTTPProtobuf, "http://a:1", false},
		{"export: {otlp: {protocol: http/protobuf, endpoint: \"http://a:1/b/v1/traces\"}}", "", config.HTTPProtobuf, "http://a:1/b/v1/metrics", false},
		{"export: {otlp: {protocol: http/protobuf, endpoint: \"http://a:1/b\"}}", "", config.HTTPProtobuf, "http://a:1/b", true},
		{"export: {otlp: {protocol: http/protobuf, endpoint: \"http://a:1/b\"}}", "grpc", config.GRPC, "http://a:1/b", true},
		{"export: {otlp: {protocol: grpc, endpoint: \"http://a:1\"}}", "http/protobuf", config.HTTPProtobuf, "http://a:1", false},
		{"metrics: {otlp: {protocol: grpc}}\nexport: {otlp: {endpoint: \"a:1\"}}", "http/protobuf", config.GRPC, "a:1", false},
		{"metrics: {otlp: {protocol: http/protobuf, endpoint: \"https://m/x\"}}\nexport: {otlp: {endpoint: \"a:1\"}}", "", config.HTTPProtobuf, "https://m/x", false},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", test.variable)
		l := parse(t, test.text+"\n")
		l.Metrics.OTLP.Enabled = true
		if p, to := pushProtocol(l.Config), pushEndpoint(l.Config); p != test.protocol || to != test.to {
			t.Errorf("%+v: %s to %q", test, p, to)
		}
		if err := checkPush(l); (err != nil) != test.wrong {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
