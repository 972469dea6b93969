// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

func TestResolve(t *testing.T) {
	const setting = "metrics.otlp.endpoint"
	for _, tt := range []struct {
		name, explicit string
		environment    map[string]string
		want           endpoint.Endpoint
	}{
		{"default", "", nil, endpoint.Endpoint{URL: "http://localhost:4317", Display: "localhost:4317", Source: setting}},
		{"explicit wins", "a:1", map[string]string{"METRICS_ENDPOINT": "b:2"}, endpoint.Endpoint{URL: "http://a:1", Display: "a:1", Source: setting}},
		{
			"signal wins", "",
			map[string]string{"METRICS_ENDPOINT": "b:2", "ENDPOINT": "c:3"},
			endpoint.Endpoint{URL: "http://b:2", Display: "b:2", Source: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"},
		},
		{
			"not of another signal", "",
			map[string]string{"TRACES_ENDPOINT": "b:2", "ENDPOINT": "c"},
			endpoint.Endpoint{URL: "http://c:4317", Display: "c:4317", Source: "OTEL_EXPORTER_OTLP_ENDPOINT"},
		},
		{"certificate", "a", map[string]string{"METRICS_CERTIFICATE": "x"}, endpoint.Endpoint{URL: "https://a:4317", Display: "a:4317", Source: setting}},
		{"secure", "a", map[string]string{"INSECURE": "false"}, endpoint.Endpoint{URL: "https://a:4317", Display: "a:4317", Source: setting}},
		{
			"insecure in spite of a certificate", "a",
			map[string]string{"METRICS_INSECURE": "true", "INSECURE": "false", "CERTIFICATE": "x"},
			endpoint.Endpoint{URL: "http://a:4317", Display: "a:4317", Source: setting},
		},
		{"IPv6", "https://[::1]", nil, endpoint.Endpoint{URL: "https://[::1]:4317", Display: "[::1]:4317", Source: setting}},
		{
			"socket", "",
			map[string]string{"ENDPOINT": "unix:///run/otel.sock"},
			endpoint.Endpoint{Display: "unix:///run/otel.sock", Source: "OTEL_EXPORTER_OTLP_ENDPOINT"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for key, value := range tt.environment {
				t.Setenv("OTEL_EXPORTER_OTLP_"+key, value)
			}
			got, err := endpoint.Metrics.Resolve(tt.explicit, setting)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("endpoint (-want +got):\n%s", diff)
			}
			if got.Plain() != strings.HasPrefix(tt.want.URL, "http:") {
				t.Errorf("%s: Plain is %t", got.URL, got.Plain())
			}
		})
	}
}

func TestResolveErrors(t *testing.T) {
	for text, want := range map[string]string{
		"ftp://a":            `--there: "ftp://a" begins with ftp://; traces go over gRPC`,
		"http://":            `--there: "http://" is not host:port`,
		"http://me:pw@a:1":   `--there: it contains a user or password, which OTLP over gRPC does not use`,
		"me:pw@a:1":          `--there: it contains a user or password`,
		"a:x":                `--there: "a:x" is not host:port`,
		"http://a/v1/traces": `--there: "http://a/v1/traces" has a path, which OTLP over gRPC does not use; leave out /v1/traces`,
	} {
		if _, err := endpoint.Traces.Resolve(text, "--there"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		} else if strings.Contains(err.Error(), "pw@") {
			t.Errorf("tells the password: %v", err)
		}
	}
}
