// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/config"
)

// parseFile reads the configuration as the daemon does.
func parseFile(t *testing.T, l *life) *config.Loaded {
	t.Helper()
	loaded, err := config.Load(l.file, l.opts.Environ)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// complete is a trace that is sent only if all are.
func complete() *trace.Trace {
	return &trace.Trace{Spans: make([]trace.Span, 2), Outcome: trace.Complete}
}

// isFree reports whether no process holds a spool, which must exist.
func isFree(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// document writes settings as YAML.
func document(settings map[string]string) string {
	sections := map[string]map[string]string{}
	lines := []string{}
	for path, value := range settings {
		section, name, nested := strings.Cut(path, ".")
		if !nested {
			lines = append(lines, "  "+path+": "+value)
			continue
		}
		if sections[section] == nil {
			sections[section] = map[string]string{}
		}
		sections[section][name] = value
	}
	for section, inner := range sections {
		block := strings.ReplaceAll(strings.TrimRight(document(inner), "\n"), "\n", "\n  ")
		lines = append(lines, "  "+section+":\n  "+block)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// TestEachSetting changes one setting after the other, there and back, and looks at what
// the daemon says of it: that it has changed, or that it needs a restart. What needs one
// stays as it is, and everything else becomes what the file says.
func TestEachSetting(t *testing.T) {
	dir := t.TempDir()
	cert, key := keyPair(t, dir)
	values := map[string]string{ // where the documentation's example is not of this machine
		"export.otlp.endpoint": "127.0.0.1:1", "export.otlp.headers": "{a: b}", "export.otlp.tls.ca_file": cert,
		"export.otlp.tls.cert_file": cert, "export.otlp.tls.key_file": key,
		"trace.key":        "000102030405060708090a0b0c0d0e0f",
		"export.spool.dir": dir + "/spool", "export.file": dir + "/traces.jsonl", "metrics.otlp.endpoint": "127.0.0.1:2",
	}
	together := map[string]string{"export.otlp.tls.cert_file": "export.otlp.tls.key_file", "export.otlp.tls.key_file": "export.otlp.tls.cert_file"}
	base := map[string]string{
		"metrics.otlp.endpoint": "127.0.0.1:1", "export.queue.delay": "100ms",
		"api.tls.cert_file": "/c", "api.tls.key_file": "/k", "api.tls.client_ca_file": "/a",
	}
	l := live(t, document(base))
	before := l.config
	for _, field := range config.Fields() {
		if field.Example == "" || field.Path == "http.listen" { // a variable has that
			continue
		}
		settings := maps.Clone(base)
		paths := []string{field.Path}
		if other, ok := together[field.Path]; ok {
			paths = append(paths, other)
		}
		for _, path := range paths {
			settings[path] = field.Example
			if v, ok := values[path]; ok {
				settings[path] = v
			}
		}
		there := l.reload(document(settings))
		want := parseFile(t, l).Config
		if field.Restart {
			says(t, there, "changed=nothing", "settings="+field.Path)
			want = before
		} else {
			slices.Sort(paths)
			says(t, there, "changed="+quoted(strings.Join(paths, ", ")))
		}
		if diff := cmp.Diff(want, l.config, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("%s (-want +in force):\n%s", field.Path, diff)
		}
		l.reload(document(base))
		if diff := cmp.Diff(before, l.config, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("%s, back (-want +in force):\n%s", field.Path, diff)
		}
	}
	if failed := l.failedReloads.Load(); failed != 0 || l.reloads.Load() < 50 {
		t.Errorf("%d reloads, %d failed\n%s", l.reloads.Load(), failed, l.log)
	}
}

// quoted is how the log shows a text.
func quoted(text string) string {
	if strings.Contains(text, " ") {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// TestReloadTakesEffect: what a reload says is in force is in force.
func TestReloadTakesEffect(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	l := live(t, "export: {file: "+one+"}\n")
	l.agent.see(t, pings(1)[0])
	l.reload("export: {file: " + other + "}\nsampling: {at: export, ratio: 0, keep_slower_than: 1s}\nmetrics: {prometheus: {enabled: false}}\n" +
		"log: {level: warn}\ntrace: {netns: [a, b], interfaces: [eth0], addresses: [192.0.2.0/24], hypervisors: [h], netfilter: [none]}\n" +
		"shutdown: {timeout: 3s}\nhost: {name: ignored}\n")
	if status, _ := l.get("/metrics"); status != http.StatusNotFound {
		t.Errorf("metrics: %d", status)
	}
	l.agent.see(t, complete())                                                         // sampled out
	l.agent.see(t, &trace.Trace{Spans: make([]trace.Span, 1), Outcome: trace.Dropped}) // always kept
	scope := l.agent.scopes[len(l.agent.scopes)-1]
	want := agent.Scope{NetNS: []string{"a", "b"}, Interfaces: []string{"eth0"}, Addresses: scope.Addresses, Hypervisors: []string{"h"}, Netfilter: []string{"none"}}
	if diff := cmp.Diff(want, scope, cmp.Comparer(func(a, b fmt.Stringer) bool { return a.String() == b.String() })); diff != "" || fmt.Sprint(scope.Addresses) != "[192.0.2.0/24]" {
		t.Errorf("scope %v (-want +got):\n%s", scope.Addresses, diff)
	}
	if l.level.Level() != slog.LevelWarn {
		t.Errorf("level %v", l.level)
	}
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	for file, lines := range map[string]int{one: 1, other: 1} {
		if b, err := os.ReadFile(file); err != nil || strings.Count(string(b), "\n") != lines {
			t.Errorf("%s has %q, error %v", file, b, err)
		}
	}
	if strings.Contains(l.log.String(), "level=INFO") {
		t.Errorf("it still logs what is not a warning:\n%s", l.log)
	}
}

// TestBadReload: whatever is wrong, and however late it turns out, all stays as it was,
// nothing is kept open, it is counted, and the next good one is taken.
func TestBadReload(t *testing.T) {
	dir := t.TempDir()
	spool, file := filepath.Join(dir, "spool"), filepath.Join(dir, "traces.jsonl")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://a:1")
	const otherwise = "log: {level: debug}\nmetrics: {max_series: 9, prometheus: {enabled: false}}\n"
	const pushed = "metrics: {max_series: 9, otlp: {enabled: true}}\n"
	toSpool := "export: {otlp: {endpoint: \"127.0.0.1:1\"}, spool: {dir: " + spool + "}"
	for name, test := range map[string]struct {
		text     string
		scopeErr error
		want     string
		spool    bool // was opened meanwhile
	}{
		"no YAML":         {"{", nil, "dwell.yaml:1", false},
		"unknown setting": {otherwise + "nonsense: 1\n", nil, "dwell.yaml:3", false},
		"two mistakes":    {"nonsense: 1\nlog: {level: loud}\n", nil, "log.level", false},
		"TLS":             {otherwise + "export: {otlp: {tls: {ca_file: /nowhere}}}\n", nil, "/nowhere", false},
		"pushes":          {pushed, nil, "metrics.otlp.endpoint", false},
		"the file":        {otherwise + toSpool + ", file: /nowhere/x}\n", nil, "export.file", true},
		"sampling":        {otherwise + toSpool + ", file: " + file + "}\nsampling: {ratio: 1e-30}\n", nil, "sampling", true},
		"the scope":       {otherwise + toSpool + ", file: " + file + "}\nsampling: {at: export, ratio: 0}\n", errors.New("the map is full"), "the map is full", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := live(t, "")
			before, counts := l.config, l.telemetry.counter.Load()
			l.agent.set(func(f *fakeAgent) { f.scopeErr = test.scopeErr })
			says(t, l.reload(test.text), "level=ERROR", test.want)
			if diff := cmp.Diff(before, l.config, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("in force (-before +after):\n%s", diff)
			}
			if !l.sampler.Keeps(complete()) || l.level.Level() != slog.LevelInfo || l.telemetry.counter.Load() != counts || l.sinks.open() {
				t.Errorf("sampled: %v, level %v, exported: %v", !l.sampler.Keeps(complete()), l.level, l.sinks.open())
			}
			if status, _ := l.get("/metrics"); status != http.StatusOK {
				t.Errorf("metrics: %d", status)
			}
			if test.spool && !isFree(t, spool) {
				t.Error("the spool is still held")
			}
			l.agent.set(func(f *fakeAgent) { f.scopeErr = nil })
			says(t, l.reload("sampling: {at: export, ratio: 0}\n"), "changed=\"sampling.at, sampling.ratio\"")
			if l.sampler.Keeps(complete()) || l.reloads.Load() != 1 || l.failedReloads.Load() != 1 {
				t.Errorf("the good one: %d reloads, %d failed", l.reloads.Load(), l.failedReloads.Load())
			}
		})
	}
}

// TestReloadWithoutAFile: a file that is gone is a mistake, not an empty configuration.
func TestReloadWithoutAFile(t *testing.T) {
	l := live(t, "log: {level: debug}\n")
	if err := os.Remove(l.file); err != nil {
		t.Fatal(err)
	}
	l.hup <- nil
	l.await("READY=1\n")
	if l.level.Level() != slog.LevelDebug || l.failedReloads.Load() != 1 {
		t.Errorf("level %v, %d failed", l.level, l.failedReloads.Load())
	}
}

// TestReloadWithAnUnusableSpool: a spool that cannot be taken over is said and shown; all else
// is in force, traces are sent, and the spool is used as soon as it can be.
func TestReloadWithAnUnusableSpool(t *testing.T) {
	spool := filepath.Join(t.TempDir(), "spool")
	to := func(address string) string {
		return "export: {otlp: {endpoint: \"" + address + "\"}, spool: {dir: " + spool + "}}\n"
	}
	l := live(t, to("127.0.0.1:1")+"shutdown: {timeout: 100ms}\n")
	if err := errors.Join(os.RemoveAll(spool), os.WriteFile(spool, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	logged := l.reload(to("127.0.0.1:2") + "sampling: {at: export, ratio: 0}\nshutdown: {timeout: 100ms}\n")
	says(t, logged, "level=WARN", "the spool cannot be used", "not a directory", "sampling.ratio")
	if l.failedReloads.Load() != 0 || l.reloads.Load() != 1 || !l.sinks.endpoint.open() || l.sampler.Keeps(complete()) {
		t.Errorf("%d failed, %d did not; sent: %v", l.failedReloads.Load(), l.reloads.Load(), l.sinks.endpoint.open())
	}
	if _, body := l.get("/metrics"); !strings.Contains(body, "dwell_agent_spool_failing{host_name=\"name\"} 1\n") {
		t.Errorf("the metrics do not show it:\n%s", body)
	}
	if err := os.Remove(spool); err != nil {
		t.Fatal(err)
	}
	until(t, "the spool is there", func() bool { return l.sinks.Stats().SpoolsFailing == 0 && !isFree(t, spool) })
}
