// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
)

// Each bound, from both sides: the last value that is taken and the first that is not.
func TestBounds(t *testing.T) {
	for path, bounds := range map[string]struct{ good, bad []string }{
		"sampling.ratio":            {[]string{"1", "1.0", "5e-324"}, []string{"0", "-0.0001", "1.0000000000000002", "NaN", "-Inf", "+Inf"}},
		"sampling.keep_slower_than": {[]string{"0s", "1ns"}, []string{"-1ns"}},
		"trace.timeout":             {[]string{"1ns", "1000h"}, []string{"0s", "-1ns"}},
		"trace.ring_size":           {[]string{"1MiB", "1048576", "1GiB"}, []string{"1048575", "0", "1073741825"}},
		"trace.max_rate":            {[]string{"auto", "0", "1", "2147483647"}, []string{"-1", "2147483648", "1.5", "Auto", "none"}},
		"trace.vxlan_ports":         {[]string{"[]", "[1,2,3,4,5,6,7,8]", "[1, 65535]"}, []string{"[1,2,3,4,5,6,7,8,9]"}},
		"trace.netfilter":           {[]string{"[]", "[none]", "[a, b]"}, []string{"[none, a]", "[a, none]", "[none, none]"}},
		"export.otlp.timeout":       {[]string{"0s", "1ns"}, []string{"-1ns"}},
		"export.queue.spans":        {[]string{"1", "2147483647"}, []string{"0", "-1", "2147483648"}},
		"export.queue.batch_spans":  {[]string{"1"}, []string{"0", "-2147483648"}},
		"export.rotate.keep":        {[]string{"1"}, []string{"0"}},
		"export.rotate.max_bytes":   {[]string{"0B", "1"}, []string{"-1"}},
		"export.queue.senders":      {[]string{"1", "64"}, []string{"0", "65"}},
		"export.queue.delay":        {[]string{"1ns"}, []string{"0s", "-1h"}},
		"export.spool.max_bytes":    {[]string{"1MiB", "1TiB"}, []string{"1048575", "1MB"}},
		"export.spool.dir":          {[]string{"/", "/s"}, []string{"s", "./s", "~/s", "file:///s"}},
		"export.file":               {[]string{"'-'", "/f"}, []string{"f", "./-", "'--'"}},
		"metrics.otlp.interval":     {[]string{"100ms", "24h"}, []string{"99999999ns", "0s", "-1s"}},
		"metrics.max_series":        {[]string{"2", "2147483647"}, []string{"1", "0", "-2"}},
		"metrics.buckets":           {[]string{"[]", "[1ns]", "[1ns, 2ns]"}, []string{}},
		"metrics.expire":            {[]string{"1ns"}, []string{"0s", "-1ns"}},
		"shutdown.timeout":          {[]string{"1ns"}, []string{"0s", "-1ns"}},
		"http.listen":               {[]string{"''", "':0'", "':65535'", "'[::1]:1'", "localhost:80"}, []string{"':65536'", "':-1'", "':http'", "'::1'", "'a:'", "9464", "localhost"}},
		"host.id":                   {[]string{"''", "a b", "é"}, []string{`"a\nb"`, `"\u0000"`, `"\x7f"`, `"\u0085"`}},
		"host.name":                 {[]string{"''", "h"}, []string{`"a\tb"`, `"a\rb"`}},
	} {
		for _, value := range bounds.good {
			checkMistakes(t, mistakes(t, file(path, value)))
		}
		for _, value := range bounds.bad {
			checkMistakes(t, mistakes(t, file(path, value)), path)
		}
	}
}

// The upper bounds of buckets rise, and each that does not is reported by its place.
func TestBuckets(t *testing.T) {
	for value, want := range map[string][]string{
		"[1ms, 1ms]":      {"metrics.buckets[1]"},
		"[2ms, 1ms, 1us]": {"metrics.buckets[1]", "metrics.buckets[2]"},
		"[0s]":            {"metrics.buckets[0]"},
		"[-1ns, 1ns]":     {"metrics.buckets[0]"},
		"[1ms, 0s, 1ns]":  {"metrics.buckets[1]", "metrics.buckets[1]"},
	} {
		checkMistakes(t, mistakes(t, file("metrics.buckets", value)), want...)
	}
}

// Sockets are paths, with or without the scheme that containerd's and CRI-O's own
// configurations write before it; none stands only alone.
func TestSockets(t *testing.T) {
	for value, want := range map[string][]string{
		"[]":                          nil,
		"[none]":                      nil,
		"[/run/a, 'unix:///run/b']":   nil,
		"[none, /run/a]":              {"containers.sockets[0]"},
		"[/run/a, none]":              {"containers.sockets[1]"},
		"[none, none]":                {"containers.sockets[0]", "containers.sockets[1]"},
		"[run/a]":                     {"containers.sockets[0]"},
		"[/run/a, 'unix://run/b', c]": {"containers.sockets[1]", "containers.sockets[2]"},
		"['tcp://127.0.0.1:2375']":    {"containers.sockets[0]"},
		"['/run/a/unix://', /unix]":   nil,
	} {
		checkMistakes(t, mistakes(t, file("containers.sockets", value)), want...)
	}
}

// The message names the value that is wrong and the bound that it misses.
func TestBoundsAreNamed(t *testing.T) {
	for _, tt := range []struct{ path, value, problem string }{
		{"metrics.otlp.interval", "99ms", "99ms is less than 100ms"},
		{"metrics.max_series", "1", "1 is less than 2"},
		{"export.queue.spans", "0", "0 is less than 1"},
		{"export.queue.batch_spans", "-3", "-3 is less than 1"},
		{"export.queue.spans", "2147483648", "2147483648 is too large"},
		{"export.spool.max_bytes", "9223372036854775808", "too large"},
		{"export.spool.max_bytes", "8388608TiB", "too large"},
		{"export.spool.max_bytes", "-8MiB", `"-8MiB"`},
		{"export.otlp.timeout", "-2s", "-2s is negative"},
		{"export.spool.max_bytes", "512KiB", "512KiB is less than 1MiB"},
		{"trace.ring_size", "2GiB", "2GiB is not between 1MiB and 1GiB"},
		{"trace.vxlan_ports", "[1,2,3,4,5,6,7,8,9,10]", "10 ports"},
		{"export.file", "traces", `"traces"`},
		{"http.listen", "':99999'", `"99999"`},
	} {
		got := mistakes(t, file(tt.path, tt.value))
		checkMistakes(t, got, tt.path)
		if len(got) == 1 && !strings.Contains(got[0].Problem, tt.problem) {
			t.Errorf("%s: %q does not say %q", tt.path, got[0].Problem, tt.problem)
		}
	}
}
