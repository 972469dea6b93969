// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// anyProbes draws probes that are sent from a namespace, among others.
func anyProbes(t *rapid.T, from config.Ref) []config.Probe {
	list := make([]config.Probe, rapid.IntRange(0, 2).Draw(t, "probes"))
	for i := range list {
		interval := config.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "interval"))
		list[i] = config.Probe{
			Name:     fmt.Sprintf("%s.%d", rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,9}`).Draw(t, "name"), i),
			NetNS:    append([]config.Ref{from}, rapid.SliceOf(ref().Filter(func(r config.Ref) bool { return r != "host" })).Draw(t, "netns")...),
			Targets:  rapid.SliceOfN(rapid.SampledFrom(targets("192.0.2.1", "2001:db8::1", "127.0.0.1")), 1, 64).Draw(t, "targets"),
			Interval: interval,
			Timeout:  config.Duration(rapid.Int64Range(0, min(int64(interval), int64(10*time.Second))).Draw(t, "timeout")),
			Size:     rapid.IntRange(40, 65507).Draw(t, "size"),
		}
	}
	return list
}

func targets(list ...string) []config.Target {
	out := make([]config.Target, len(list))
	for i, text := range list {
		out[i] = config.Target{Addr: netip.MustParseAddr(text)}
	}
	return out
}

const someProbe = "name: a, netns: [host], targets: [192.0.2.1]"

// Each bound of a probe, from both sides, at the operator's and at a tenant's; a mistake is at
// its line and column.
func TestProbeBounds(t *testing.T) {
	long := strings.Repeat("a", 63)
	many := strings.Repeat("192.0.2.1, ", 63)
	for name, bounds := range map[string]struct{ good, bad []string }{
		"name":     {[]string{"a", "0", long, "a.b_c-d"}, []string{"''", long + "a", "-a", ".a", "a b", "é", "a/b"}},
		"netns":    {[]string{"[web]", "[a, /run/netns/b, 'c*', 123]"}, []string{"[]"}},
		"targets":  {[]string{"['::1']", "['::ffff:192.0.2.1', '127.0.0.1']", "[" + many + "192.0.2.1]"}, []string{"[]", "[" + many + "192.0.2.1, 192.0.2.1]"}},
		"interval": {[]string{"100ms", "1h", "1s"}, []string{"99ms", "3601s", "0s", "-1s"}},
		"timeout":  {[]string{"0s", "1ns", "1s"}, []string{"-1ns", "1001ms", "11s"}},
		"size":     {[]string{"40", "65507"}, []string{"39", "65508", "0", "-1"}},
	} {
		text := func(value string) string {
			probe := "name: a, netns: [web], targets: [192.0.2.1]"
			if key, rest, is := cutSetting(probe, name); is {
				probe = key + rest
			}
			return "{" + strings.Trim(probe+", "+name+": "+value, ", ") + "}"
		}
		for _, value := range bounds.good {
			checkMistakes(t, mistakes(t, "probes: ["+text(value)+"]"))
			checkMistakes(t, mistakes(t, "tenants: [{id: red, vms: [x], probes: ["+text(value)+"]}]"))
		}
		for _, value := range bounds.bad {
			checkMistakes(t, mistakes(t, "probes: ["+text(value)+"]"), "probes[0]."+name)
			got := mistakes(t, "tenants: [{id: red, vms: [x], probes: ["+text(value)+"]}]")
			checkMistakes(t, got, "tenants[0].probes[0]."+name)
			if len(got) == 1 && (got[0].Line != 1 || got[0].Column < 40) {
				t.Errorf("%s: %s is said to be at %s", name, value, got[0].Origin)
			}
		}
	}
}

// cutSetting leaves a setting out of a line of settings.
func cutSetting(line, name string) (before, after string, found bool) {
	var kept []string
	for part := range strings.SplitSeq(line, ", ") {
		if strings.HasPrefix(part, name+":") {
			found = true
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, ", "), "", found
}

func TestProbingBounds(t *testing.T) {
	for _, path := range []string{"probing.max_rate", "probing.tenant_max_rate"} {
		for _, value := range []string{"1", "1000"} {
			checkMistakes(t, mistakes(t, file(path, value)))
		}
		for _, value := range []string{"0", "-1", "1001"} {
			checkMistakes(t, mistakes(t, file(path, value)), path)
		}
	}
}

// What cannot be a target is refused, and the message says what to use instead.
func TestTargets(t *testing.T) {
	for value, problem := range map[string]string{
		"example.net": "getent ahosts example.net", "192.0.2.0/24": "is not an address", "'fe80::1%lo'": "use a global address",
		"0.0.0.0": "not the address of one host", "'::'": "not the address of one host", "224.0.0.1": "not the address of one host",
		"'ff02::1'": "not the address of one host", "255.255.255.255": "not the address of one host",
	} {
		got := mistakes(t, "probes: [{name: a, netns: [host], targets: ["+value+"]}]")
		checkMistakes(t, got, "probes[0].targets[0]")
		if len(got) == 1 && !strings.Contains(got[0].Problem, problem) {
			t.Errorf("%s: %q does not say %q", value, got[0].Problem, problem)
		}
	}
}

// Names tell probes of one owner apart, and a tenant's probes are not sent from the host.
func TestNamesOfProbes(t *testing.T) {
	twice := "{" + someProbe + "}, {" + someProbe + "}"
	got := mistakes(t, "probes: ["+twice+"]")
	checkMistakes(t, got, "probes[1].name")
	if len(got) == 1 && !strings.Contains(got[0].Problem, "probes[0]") {
		t.Error(got[0])
	}
	of := strings.ReplaceAll(someProbe, "host", "web")
	checkMistakes(t, mistakes(t, "probes: [{"+someProbe+"}]\ntenants: [{id: red, vms: [x], probes: [{"+of+"}]}, {id: blue, vms: [y], probes: [{"+of+"}]}]"))
	checkMistakes(t, mistakes(t, "tenants: [{id: red, vms: [x], probes: [{"+strings.ReplaceAll(someProbe, "host", "web, host")+"}]}]"), "tenants[0].probes[0].netns[1]")
}

func TestNumberOfProbes(t *testing.T) {
	list := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("{name: p%d, netns: [web], targets: [192.0.2.1]}", i))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	checkMistakes(t, mistakes(t, "probes: "+list(256)))
	checkMistakes(t, mistakes(t, "probes: "+list(257)), "probes")
	checkMistakes(t, mistakes(t, "tenants: [{id: red, vms: [x], probes: "+list(32)+"}]"))
	checkMistakes(t, mistakes(t, "tenants: [{id: red, vms: [x], probes: "+list(33)+"}]"), "tenants[0].probes")
}

// What is left out has a default; the one of the timeout fits the interval.
func TestProbeDefaults(t *testing.T) {
	loaded := parse(t, "probes: [{"+someProbe+"}, {name: b, interval: 200ms, netns: [host], targets: ['::1']}, {name: c, timeout: 70ms, netns: [host], targets: ['::1']}]")
	p := loaded.Probes
	if time.Duration(p[0].Interval) != time.Second || p[0].Size != 56 || p[0].Wait() != time.Second || p[1].Wait() != 200*time.Millisecond || p[2].Wait() != 70*time.Millisecond {
		t.Errorf("defaults are %+v", p)
	}
	if p[0].Targets[0].Addr != netip.MustParseAddr("192.0.2.1") || p[0].NetNS[0] != "host" {
		t.Errorf("read %+v", p[0])
	}
	tenant, err := loaded.ParseTenant("/t/red.yaml", []byte("vms: [x]\nprobes:\n- name: b\n  netns: [web]\n  targets: [192.0.2.1]\n"), nil)
	if err != nil || len(tenant.Probes) != 1 || tenant.Probes[0].Size != 56 {
		t.Errorf("in a tenant's file: %+v, %v", tenant.Probes, err)
	}
	_, err = loaded.ParseTenant("/t/red.yaml", []byte("vms: [x]\nprobes:\n- name: b\n  netns: [web]\n  target: [192.0.2.1]\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "red.yaml:5:3: probes[0].target: there is no such setting; did you mean targets?") {
		t.Errorf("a slip in a tenant's file: %v", err)
	}
}
