// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/config"
)

// slip returns a name with one letter left out, put in, or replaced.
func slip(t *rapid.T, name string) string {
	i := rapid.IntRange(0, len(name)-1).Draw(t, "place")
	letter := rapid.StringMatching(`[a-z_]`).Draw(t, "letter")
	switch rapid.SampledFrom([]string{"out", "in", "replaced"}).Draw(t, "slip") {
	case "out":
		return name[:i] + name[i+1:]
	case "in":
		return name[:i] + letter + name[i:]
	}
	return name[:i] + letter + name[i+1:]
}

// ambiguous reports whether a name is as near to uids as it is to gids, or is one that the
// kubelet may have set.
func ambiguous(name string) bool {
	return regexp.MustCompile(`(?i)operators[._].?ids$|^DWELL_\w+_PORT$`).MatchString(name)
}

// known are the paths of all settings and sections.
func known() map[string]bool {
	all := map[string]bool{}
	for _, f := range config.Fields() {
		all[f.Path] = true
	}
	return all
}

// Whoever mistypes one letter of a name is told the name.
func TestOneSlipInAName(t *testing.T) {
	paths, elsewhere := known(), map[string]bool{}
	for path := range paths {
		elsewhere[path[strings.LastIndexByte(path, '.')+1:]] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom(config.Fields()).Draw(t, "field").Path
		above, name := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			above, name = path[:i+1], path[i+1:]
		}
		mistyped := above + slip(t, name)
		if len(name) < 3 || paths[mistyped] || ambiguous(mistyped) || elsewhere[strings.TrimPrefix(mistyped, above)] {
			t.Skip("still a name")
		}
		got := mistakes(t, file(mistyped, "x"))
		checkMistakes(t, got, mistyped)
		if want := "did you mean " + name + "?"; !strings.HasSuffix(got[0].Problem, want) {
			t.Errorf("%s: %q, want %q", mistyped, got[0].Problem, want)
		}
	})
}

// The same for a variable, which is warned of and changes nothing.
func TestOneSlipInAVariable(t *testing.T) {
	variables := map[string]bool{}
	for path := range known() {
		variables[config.Variable(path)] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		name := config.Variable(rapid.SampledFrom(documented()).Draw(t, "field").Path)
		mistyped := config.EnvPrefix + strings.ToUpper(slip(t, strings.TrimPrefix(name, config.EnvPrefix)))
		if variables[mistyped] || ambiguous(mistyped) {
			t.Skip("still a name")
		}
		loaded := parse(t, "", mistyped+"=s3cret")
		if len(loaded.Warnings) != 1 || !strings.Contains(loaded.Warnings[0], mistyped) ||
			!strings.HasSuffix(loaded.Warnings[0], "did you mean "+name+"?") || strings.Contains(loaded.Warnings[0], "s3cret") {
			t.Errorf("%s for %s: %q", mistyped, name, loaded.Warnings)
		}
	})
}

// What was probably meant, and what is too far from everything to guess.
func TestHints(t *testing.T) {
	for name, want := range map[string]string{
		"traces":                "did you mean trace?",
		"trace.intefraces":      "did you mean interfaces?",
		"trace.interface":       "did you mean interfaces?",
		"trace.vxlanport":       "did you mean vxlan_ports?",
		"trace.vxlanprt":        "below trace you can set: netns,",
		"http.lisen":            "did you mean listen?",
		"log.fmt":               "you can set: level, format",
		"timeout":               "did you mean trace.timeout?",
		"ca_file":               "did you mean export.otlp.tls.ca_file?",
		"otlp":                  "did you mean export.otlp?",
		"tls":                   "did you mean export.otlp.tls?",
		"metrics.spans":         "did you mean export.queue.spans?",
		"host.max_bytes":        "did you mean export.spool.max_bytes?",
		"host.x":                "below host you can set: id, name",
		"x":                     "here you can set: host, trace,",
		"id":                    "did you mean host.id?",
		"export.otlp.tls.files": "below export.otlp.tls you can set: ca_file, cert_file, key_file, insecure",
		"hots":                  "did you mean host?",
		"HTTP":                  "here you can set: host, trace,",
	} {
		got := mistakes(t, file(name, "x"))
		if len(got) != 1 || !strings.Contains(got[0].Problem, want) {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
	}
	// Dots are not what YAML nests by.
	for text, want := range map[string]string{
		"trace.timeout: 1s\n":                "write it as trace: {timeout: ...}",
		"export:\n  otlp.tls.ca_file: /c\n":  "write it as export: {otlp: {tls: {ca_file: ...}}}",
		"trace.timeouts: 1s\n":               "here you can set: host, trace,",
		"log: {log.level: debug}\n":          "write it as log: {level: ...}",
		"metrics: {prometheus.port: 9464}\n": "did you mean prometheus?",
	} {
		got := mistakes(t, text)
		if len(got) != 1 || !strings.Contains(got[0].Problem, want) {
			t.Errorf("%s: %v, want %q", text, got, want)
		}
	}
}

func TestHintsOfVariables(t *testing.T) {
	for name, want := range map[string]string{
		"DWELL_TRACE_TIMOUT":        "?DWELL_TRACE_TIMEOUT",
		"DWELL_TRACE_TIMEOTU":       "?DWELL_TRACE_TIMEOUT",
		"DWELL_TRACE_TIMO":          "",
		"DWELL_TIMEOUT":             "?DWELL_TRACE_TIMEOUT",
		"DWELL_RING_SIZE":           "?DWELL_TRACE_RING_SIZE",
		"DWELL_SIZE":                "?DWELL_TRACE_RING_SIZE",
		"DWELL_IMEOUT":              "",
		"DWELL_CONFIG":              "",
		"DWELL_HOST":                "",
		"DWELL_PORT_S":              "",
		"DWELL_HTTP_LISTEN_ADDRESS": "",
		"DWELL_":                    "",
		"DWELL_OTLP_ENDPOINT":       "?DWELL_EXPORT_OTLP_ENDPOINT",
		"DWELL_INTERVAL":            "?DWELL_METRICS_OTLP_INTERVAL",
	} {
		loaded := parse(t, "", name+"=x")
		_, meant, _ := strings.Cut(strings.Join(loaded.Warnings, ""), "did you mean ")
		if len(loaded.Warnings) != 1 || strings.TrimPrefix(want, "?") != strings.TrimSuffix(meant, "?") {
			t.Errorf("%s: %q, want %q", name, loaded.Warnings, want)
		}
	}
	if loaded := parse(t, "", "DWEL_TRACE_TIMEOUT=x", "dwell_trace_timeout=x", "X_DWELL_TRACE_TIMEOUT=x", "DWELLER=x", "=x", ""); len(loaded.Warnings) > 0 {
		t.Errorf("warned of others' variables: %q", loaded.Warnings)
	}
}

// What the kubelet sets for a Service called dwell, or dwell-agent, is not warned of;
// what only looks alike is.
func TestKubernetes(t *testing.T) {
	for name, warned := range map[string]bool{
		"DWELL_PORT_9464_SCTP_PROTO":     false,
		"DWELL_PORT_9464_UDP_PORT":       false,
		"DWELL_SERVICE_PORT":             false,
		"DWELL_A_B_SERVICE_PORT_METRICS": false,
		"DWELL_PORT_TCP":                 true,
		"DWELL_PORT_9464":                true,
		"DWELL_PORT_9464_ICMP":           true,
		"DWELL_PORT_9464_TCP_HOST":       true,
		"DWELL_SERVICE":                  true,
		"DWELL_SERVICE_HOSTS":            true,
		"DWELL_XPORT":                    true,
	} {
		if loaded := parse(t, "", name+"=tcp://10.0.0.1:9464"); (len(loaded.Warnings) > 0) != warned {
			t.Errorf("%s: %q", name, loaded.Warnings)
		}
	}
}
