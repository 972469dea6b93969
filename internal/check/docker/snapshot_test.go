// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Counters and comments are left out, everything else counts.
func TestLines(t *testing.T) {
	got := lines("# Generated on Sunday\n*nat\n:DOCKER - [17:1020]\n\n  -A POSTROUTING -j MASQUERADE\n")
	if diff := cmp.Diff([]string{"*nat", ":DOCKER -", "-A POSTROUTING -j MASQUERADE"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompare(t *testing.T) {
	host := func(devices, rules []string) *snapshot {
		s := &snapshot{}
		s.add("devices", devices)
		s.add("iptables", rules)
		return s
	}
	before := host([]string{"lo", "eth0"}, []string{"*nat", "-A A"})
	for _, test := range []struct {
		name  string
		after *snapshot
		want  string
	}{
		{"as it was", host([]string{"lo", "eth0"}, []string{"*nat", "-A A"}), ""},
		{"in another order", host([]string{"eth0", "lo"}, []string{"*nat", "-A A"}), ""},
		{"a device more", host([]string{"lo", "eth0", "docker0"}, []string{"*nat", "-A A"}), "devices of the host: new: docker0"},
		{
			"a rule exchanged", host([]string{"lo", "eth0"}, []string{"*nat", "-A B"}),
			"iptables of the host: gone: -A A\niptables of the host: new: -A B",
		},
	} {
		got := ""
		if err := before.compare(test.after); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
