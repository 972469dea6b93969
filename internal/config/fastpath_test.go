// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/config"
)

func anyFastPath(t *rapid.T) config.FastPath {
	return config.FastPath{
		NICs:           rapid.SliceOf(device()).Draw(t, "fastpath.nics"),
		Lease:          config.Duration(rapid.Int64Range(int64(time.Second), int64(10*time.Second)).Draw(t, "fastpath.lease")),
		FlowsPerTenant: rapid.IntRange(1, 131072).Draw(t, "fastpath.flows_per_tenant"),
		Pin:            rapid.SampledFrom([]string{"/bpf", "/sys/fs/bpf/x"}).Draw(t, "fastpath.pin"),
	}
}

// Each bound of the fast path's settings, from both sides.
func TestFastPathBounds(t *testing.T) {
	for path, bounds := range map[string]struct{ good, bad []string }{
		"fastpath.lease":            {[]string{"1s", "10s"}, []string{"999ms", "10001ms", "0s", "-1s", "5"}},
		"fastpath.flows_per_tenant": {[]string{"1", "131072"}, []string{"0", "-1", "131073"}},
		"fastpath.pin":              {[]string{"/sys/fs/bpf/x", "/bpf"}, []string{"x", "''", "/sys/fs/bpf", "/sys/fs/bpf/", "/sys/fs/bpf/x/.."}},
	} {
		for _, value := range bounds.good {
			checkMistakes(t, mistakes(t, file(path, value)))
		}
		for _, value := range bounds.bad {
			checkMistakes(t, mistakes(t, file(path, value)), path)
		}
	}
}

// A tenant's mode is a word, whether or not YAML takes it for something else, and off by default.
func TestFastPathOfTenants(t *testing.T) {
	for text, want := range map[string]flow.Mode{
		"": flow.Off, "fastpath: off": flow.Off, "fastpath: shadow": flow.Shadow, "fastpath: on": flow.On, "fastpath: 'on'": flow.On,
	} {
		l, err := config.Parse("f", []byte("tenants:\n- id: red\n  ports: [tap0]\n  "+text+"\n"), nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := l.Tenants[0].FastPath; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		d, err := l.ParseTenant("/t/blue.yaml", []byte("ports: [tap1]\n"+text+"\n"), nil)
		if err != nil || d.FastPath != want {
			t.Errorf("file with %q: %v, %v, want %v", text, d.FastPath, err, want)
		}
	}
	checkMistakes(t, mistakes(t, "tenants: [{id: red, ports: [tap0], fastpath: true}]"), "tenants[0].fastpath")
	checkMistakes(t, mistakes(t, "tenants: [{id: red, ports: [tap0], fastpath: {mode: on}}]"), "tenants[0].fastpath")
}
