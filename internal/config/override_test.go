// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/config"
)

// example is a value of a setting, as a file and as a variable give it.
type example struct {
	path, yaml, variable string
	// base is a file that the setting can be added to.
	base string
}

// lists are the settings that no variable can give.
var lists = []string{"tenancy.export.otlp", "tenants", "probes"}

// examples has one for every setting that a variable can give.
func examples() []example {
	var all []example
	for _, f := range documented() {
		if slices.Contains(lists, f.Path) {
			continue
		}
		e := example{path: f.Path, yaml: f.Example, variable: strings.Trim(strings.ReplaceAll(f.Example, `"`, ""), "[]")}
		switch {
		case f.Path == "export.otlp.headers":
			e.yaml, e.variable = `{authorization: "Bearer ${env:TOKEN}", x-y: "1"}`, "authorization=Bearer ${env:TOKEN},x-y=1"
		case f.Path == "trace.key":
			e.yaml, e.variable = `"${env:KEY}"`, "${env:KEY}"
		case f.Path == "export.otlp.tls.insecure":
			e.yaml, e.variable = "false", "false"
		case f.Path == "api.listen":
			e.base = "api: {tls: {cert_file: /c, key_file: /k, client_ca_file: /a}}\n"
		case strings.HasPrefix(f.Path, "api.tls."):
			// each by itself
		case strings.HasSuffix(f.Path, "cert_file"), strings.HasSuffix(f.Path, "key_file"):
			e.base = "export: {otlp: {tls: {cert_file: /c, key_file: /k}}}\n"
		}
		e.variable = config.Variable(f.Path) + "=" + e.variable
		all = append(all, e)
	}
	return all
}

// Every setting has the same value from its variable as from the file, and the variable
// is where it came from.
func TestEverySettingHasAVariable(t *testing.T) {
	for _, e := range examples() {
		got := parse(t, e.base, e.variable, "TOKEN=t", hexKey)
		if e.base == "" {
			if want := parse(t, file(e.path, e.yaml), "TOKEN=t", hexKey); !reflect.DeepEqual(want.Config, got.Config) {
				t.Errorf("%s:\nfile %+v\nvariable %+v", e.variable, want.Config, got.Config)
			}
		}
		if from := got.Origin(e.path); from != (config.Origin{Variable: config.Variable(e.path)}) {
			t.Errorf("%s came from %v", e.path, from)
		}
		if base := parse(t, e.base); reflect.DeepEqual(base.Config, got.Config) {
			t.Errorf("%s changes nothing", e.variable)
		}
	}
}

// A variable wins over the file, whatever the file says: what it replaces is not even
// looked at, and nothing else is touched.
func TestVariablesWin(t *testing.T) {
	for _, e := range examples() {
		if e.base != "" {
			continue
		}
		want := parse(t, "", e.variable, "TOKEN=t", hexKey).Config
		for _, wrong := range []string{"[{}]", "{a: [b]}", `"wrong\x01"`} {
			if got := parse(t, file(e.path, wrong), e.variable, "TOKEN=t", hexKey).Config; !reflect.DeepEqual(want, got) {
				t.Errorf("%s over %q: %+v", e.variable, wrong, got)
			}
		}
	}
}

// A mistake in the file is left out only if the variable replaces the value that is
// wrong, and not if it replaces one beside it.
func TestOtherMistakesStay(t *testing.T) {
	const wrong = "trace:\n  timeout: 1\n  netns: ['[', a]\n  ring_size: x\n"
	for _, tt := range []struct {
		env  []string
		want []string
	}{
		{nil, []string{"trace.timeout", "trace.netns[0]", "trace.ring_size"}},
		{[]string{"DWELL_TRACE_TIMEOUT=1s"}, []string{"trace.netns[0]", "trace.ring_size"}},
		{[]string{"DWELL_TRACE_NETNS=a"}, []string{"trace.timeout", "trace.ring_size"}},
		{[]string{"DWELL_TRACE_NETNS=a", "DWELL_TRACE_TIMEOUT=1s", "DWELL_TRACE_RING_SIZE=1MiB"}, nil},
		{[]string{"DWELL_TRACE_NETNS=", "DWELL_TRACE=x", "DWELL_TRACE_NETNS_0=a"}, []string{"trace.timeout", "trace.netns[0]", "trace.ring_size"}},
	} {
		checkMistakes(t, mistakes(t, wrong, tt.env...), tt.want...)
	}
	// A file that is no YAML stays one, and so does a name that does not exist.
	checkMistakes(t, mistakes(t, "trace: [", "DWELL_TRACE_TIMEOUT=1s"), "")
	checkMistakes(t, mistakes(t, "trace: {timeout: {}, time: 1s}", "DWELL_TRACE_TIMEOUT=1s"), "trace.time")
}

// Lists and pairs in a variable: blanks around the parts are not part of them, and the
// whole list is replaced.
func TestListsInVariables(t *testing.T) {
	const from = "trace: {netns: [x, y, z], vxlan_ports: [1, 2]}\nexport: {otlp: {headers: {a: '1', b: '2'}}}\n"
	c := parse(t, from, "DWELL_TRACE_NETNS= p , q ", "DWELL_TRACE_VXLAN_PORTS=3", "DWELL_EXPORT_OTLP_HEADERS= c=3 , d=x=y=").Config
	if want := []config.Ref{"p", "q"}; !slices.Equal(c.Trace.NetNS, want) {
		t.Errorf("namespaces %v", c.Trace.NetNS)
	}
	if want := []config.Port{3}; !slices.Equal(c.Trace.VXLANPorts, want) {
		t.Errorf("ports %v", c.Trace.VXLANPorts)
	}
	headers := map[string]string{}
	for name, h := range c.Export.OTLP.Headers {
		headers[name] = h.Value()
	}
	if diff := cmp.Diff(map[string]string{"c": "3", "d": "x=y="}, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for _, value := range []string{"a=1,b", "a=1,,b=2", ",", "b"} {
		got := mistakes(t, "", "DWELL_EXPORT_OTLP_HEADERS="+value)
		if len(got) == 0 || got[0].Path != "export.otlp.headers" || got[0].Variable != "DWELL_EXPORT_OTLP_HEADERS" {
			t.Errorf("%s: %v", value, got)
		}
	}
}

// A duplicate in the environment, which execve allows: the last one holds, as in Go's
// own os/exec.
func TestTheLastVariableHolds(t *testing.T) {
	c := parse(t, "", "DWELL_TRACE_TIMEOUT=1s", "DWELL_TRACE_TIMEOUT=2s", "DWELL_TRACE_TIMEOUT=", "DWELL_TRACE_TIMEOUT").Config
	if got := time.Duration(c.Trace.Timeout); got != 2*time.Second {
		t.Errorf("timeout %v", got)
	}
}

// Where a value was set: the element, the setting, the section, or the file.
func TestOrigins(t *testing.T) {
	const text = "# first line\ntrace:\n  netns:\n    - a\n    - b\nexport: {otlp: {headers: {k: v}}}\nlog:\n  level: debug\n"
	loaded := parse(t, text, "DWELL_TRACE_INTERFACES=a,b", "DWELL_LOG_LEVEL=warn")
	for path, want := range map[string]string{
		"trace":                   "f:3:3",
		"trace.netns":             "f:4:5",
		"trace.netns[0]":          "f:4:7",
		"trace.netns[1]":          "f:5:7",
		"trace.netns[7]":          "f:4:5",
		"trace.timeout":           "f:3:3",
		"trace.interfaces":        "DWELL_TRACE_INTERFACES",
		"trace.interfaces[1]":     "DWELL_TRACE_INTERFACES",
		"export.otlp.headers.k":   "f:6:30",
		"export.otlp.headers.z":   "f:6:26",
		"export.otlp.tls.ca_file": "f:6:16",
		"log.level":               "DWELL_LOG_LEVEL",
		"shutdown.timeout":        "f",
		"shutdown":                "f",
		"":                        "f",
	} {
		if got := loaded.Origin(path).String(); got != want {
			t.Errorf("origin of %q: %s, want %s", path, got, want)
		}
	}
	if got, want := loaded.Error("trace.netns[1]", errTest).Error(), "f:5:7: trace.netns[1]: "+errTest.Error(); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	loaded.Warn("log.level", "quiet")
	if diff := cmp.Diff([]string{"DWELL_LOG_LEVEL: log.level: quiet"}, loaded.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
