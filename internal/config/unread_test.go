// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
)

// A value that cannot be read is reported once, for that, and what stands in its place
// is not held against whoever wrote it.
func TestUnreadValuesAreNotChecked(t *testing.T) {
	for _, tt := range []struct {
		file string
		env  []string
		want []string
	}{
		{file: "metrics: {buckets: [1]}\n", want: []string{"metrics.buckets[0]"}},
		{file: "metrics: {buckets: [1ms, 2, 3ms]}\n", want: []string{"metrics.buckets[1]"}},
		{file: "metrics: {buckets: [1ms, [], 1us]}\n", want: []string{"metrics.buckets[1]"}},
		{env: []string{"DWELL_METRICS_BUCKETS=1"}, want: []string{"metrics.buckets"}},
		{"shutdown: {timeout: 0s}\n", []string{"DWELL_SHUTDOWN_TIMEOUT=1"}, []string{"shutdown.timeout"}},
		{"metrics: {buckets: [0s]}\n", []string{"DWELL_METRICS_BUCKETS=x,y"}, []string{"metrics.buckets", "metrics.buckets"}},
		{file: "shutdown: {timeout: 1}\ntrace: {timeout: 0s}\n", want: []string{"shutdown.timeout", "trace.timeout"}},
		{file: "unknown: {}\ntrace: {timeout: 0s}\n", want: []string{"unknown", "trace.timeout"}},
	} {
		checkMistakes(t, mistakes(t, tt.file, tt.env...), tt.want...)
	}
}

// What has no effect because of another setting is warned of.
func TestUnusedOfTenants(t *testing.T) {
	const red = "tenants: [{id: red, ports: [a], access: "
	for text, want := range map[string]string{
		"api: {tls: {cert_file: /c}}\n":                                "f:1:12: api.tls: not used: there is no api.listen",
		red + "{uids: [1]}}]\n":                                        "f:1:41: tenants[0].access: users and groups are not used: there is no api.socket",
		red + "{gids: [1]}}]\napi: {socket: /s}\nhttp: {listen: ''}\n": "",
		red + "{certificates: [a]}}]\napi: {socket: /s}\n":             "f:1:41: tenants[0].access: certificates are not used: there is no api.listen",
		"tenants: [{id: red, ports: [a], readers: {uids: [1]}}]\n":     "f:1:42: tenants[0].readers: users and groups are not used: there is no api.socket",
	} {
		if got := strings.Join(parse(t, text).Warnings, "\n"); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Metrics are the operator's. Whoever may ask for one tenant on this host reaches them, unless
// something else is done about it.
func TestMetricsOfAllTenantsAreExposed(t *testing.T) {
	const red, socket = "tenants: [{id: red, ports: [a], access: {uids: [1]}}]\n", "api: {socket: /s}\n"
	for text, want := range map[string]bool{
		red + socket:                          true,
		red + socket + "http: {listen: ''}\n": false,
		red + socket + "metrics: {prometheus: {enabled: false}}\n": false,
		"tenants: [{id: red, ports: [a]}]\n" + socket:              false,
		socket: false,
	} {
		got := strings.Join(parse(t, text).Warnings, "\n")
		if warned := strings.Contains(got, "can read /metrics"); warned != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
