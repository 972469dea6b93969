// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What would run stands in one line for each of its parts, with what was set and nothing
// else.
func TestCheckSaysWhatWouldRun(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		text      string
		want, not []string
	}{
		"nothing set": {
			"",
			[]string{"host:     name", "trace:    all pings", "sampling: all traces", "export:   none", "metrics:  http://127.0.0.1:9464/metrics"},
			[]string{"warning", ";"},
		},
		"host":         {"host: {name: n}", []string{"host:     n"}, nil},
		"no firewall":  {"", []string{"firewall: none"}, []string{"kept in"}},
		"firewall":     {"firewall: {enabled: true, state_dir: /s}", []string{"firewall: rules of tenants in this network namespace, kept in /s"}, nil},
		"no fast path": {"tenants: [{id: red, ports: [a], fastpath: off}]", []string{"fastpath: none: no tenant has one"}, nil},
		"no probes":    {"", []string{"probes:   none"}, nil},
		"probes": {
			"probes: [{name: a, netns: [host], targets: [192.0.2.1]}]\nprobing: {max_rate: 7}\ntenants: [{id: red, ports: [a], probes: [{name: a, netns: [x], targets: [192.0.2.1]}]}]",
			[]string{"probes:   1 of the operator, at most 7 pings a second; 1 of tenants, at most 10 for each"},
			nil,
		},
		"fast path": {
			"tenants: [{id: red, ports: [a], fastpath: on}, {id: blue, ports: [b], fastpath: shadow}, {id: green, ports: [c]}]\nfastpath: {lease: 3s, pin: /p}",
			[]string{"fastpath: on for 1, shadow for 1 of 3 tenants, lease 3s, programs in /p"},
			nil,
		},
		"scope": {
			"trace: {netns: [a, b], interfaces: [eth0, eth1], addresses: [192.0.2.0/24, \"::1\"], hypervisors: [h], netfilter: [none]}",
			[]string{"pings of 192.0.2.0/24, ::1/128", "in a, b", "on eth0, eth1", "hypervisors h", "netfilter of none"},
			[]string{"all pings"},
		},
		"ratio":           {"sampling: {ratio: 0.25}", []string{"25 % of the pings, chosen in the kernel"}, []string{"longer", "unreachable"}},
		"at export":       {"sampling: {at: export, ratio: 0.25}", []string{"25 %", "dropped, incomplete or unreachable"}, []string{"longer"}},
		"slow ones":       {"sampling: {at: export, ratio: 0, keep_slower_than: 3ms}", []string{"0 %", "longer than 3ms"}, nil},
		"slow, but all":   {"sampling: {keep_slower_than: 3ms}", []string{"all traces"}, []string{"longer"}},
		"endpoint":        {"export: {otlp: {endpoint: \"a:1\", tls: {insecure: false}}}", []string{"OTLP/gRPC to https://a:1"}, []string{"spool", "file"}},
		"all three":       {"export: {otlp: {endpoint: \"a:1\"}, spool: {dir: " + dir + "/s, max_bytes: 3MiB}, file: " + dir + "/f}", []string{"to a:1; ", "spool " + dir + "/s of 3MiB; ", "file " + dir + "/f"}, []string{"warning"}},
		"standard output": {"export: {file: \"-\"}", []string{"file -"}, nil},
		"no scrapes":      {"metrics: {prometheus: {enabled: false}}", []string{"metrics:  none"}, []string{"http://"}},
		"no server":       {"http: {listen: \"\"}", []string{"metrics:  none"}, []string{"http://"}},
		"pushes":          {"metrics: {otlp: {enabled: true, endpoint: \"m:1\", interval: 15s}}\nexport: {otlp: {endpoint: \"a:1\"}}", []string{"; OTLP/gRPC to m:1 every 15s"}, nil},
		"by environment":  {"metrics: {otlp: {enabled: true}}", []string{"the endpoint of the environment every 1m0s"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "c.yaml")
			if err := os.WriteFile(file, []byte(test.text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			lines, err := Check(Options{File: file, Resource: otlpOptions()})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(lines, "\n")
			says(t, text, test.want...)
			for _, word := range test.not {
				if strings.Contains(text, word) {
					t.Errorf("says %q:\n%s", word, text)
				}
			}
		})
	}
	for _, path := range []string{"s", "f"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s was made", path)
		}
	}
}

// What a start refuses is refused by a check, at the same place of the file; all mistakes
// are reported at once.
func TestCheckRefusesWhatAStartRefuses(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const to = "export: {otlp: {endpoint: \"127.0.0.1:1\"}"
	for name, test := range map[string]struct{ text, want string }{
		"file":     {"export: {file: " + taken + "/x}", "export.file"},
		"TLS":      {"export: {otlp: {endpoint: \"127.0.0.1:1\", tls: {ca_file: " + taken + "}}}", "export.otlp.tls.ca_file"},
		"sampling": {"sampling: {ratio: 1e-30}", "sampling"},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, "")
			l.write(test.text + "\n")
			_, checked := Check(l.opts)
			loaded := parseFile(t, l)
			d, started := newDaemon(l.opts, loaded)
			if started == nil {
				d.startAgent = l.agent.start
				started = d.start(t.Context(), loaded)
				d.close()
			}
			if checked == nil || started == nil {
				t.Fatalf("check: %v; start: %v", checked, started)
			}
			says(t, checked.Error(), "dwell.yaml:1", test.want)
			says(t, started.Error(), "dwell.yaml:1", test.want)
		})
	}
	l := begin(t, "")
	l.write(to + ", spool: {dir: " + taken + "}, file: " + taken + "/x}\nsampling: {ratio: 1e-30}\n")
	if _, err := Check(l.opts); err == nil {
		t.Error("all of it is good")
	} else {
		says(t, err.Error(), "export.file", "sampling")
	}
	l.write(to + ", spool: {dir: " + taken + "}}\ntenancy: {export: {spool: {dir: /etc/passwd}}}\n")
	lines, err := Check(l.opts)
	if err != nil {
		t.Fatal(err)
	}
	says(t, strings.Join(lines, "\n"), "warning: "+l.file+":1", "export.spool.dir: "+taken+" is not a directory", "warning: "+l.file+":2", "tenancy.export.spool.dir")
}

// Certificates for an endpoint of the environment that is plain text are a mistake.
func TestCertificatesForPlainText(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:1")
	cert, key := keyPair(t, t.TempDir())
	for _, files := range []string{"ca_file: " + cert, "cert_file: " + cert + ", key_file: " + key} {
		l := parse(t, "export: {otlp: {tls: {"+files+"}}}\n")
		if err := checkEndpoint(l); err == nil {
			t.Errorf("%s: no error", files)
		} else {
			says(t, err.Error(), "export.otlp.tls", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
		}
	}
	if err := checkEndpoint(parse(t, "export: {otlp: {endpoint: \"https://b:1\", tls: {ca_file: "+cert+"}}}\n")); err != nil {
		t.Errorf("an endpoint of its own: %v", err)
	}
}

// A directory in which this user may make nothing is said to be so, and so is one above
// that is not there yet.
func TestNotWritable(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{locked, filepath.Join(locked, "new", "below")} {
		says(t, inUserNamespace(t, unwritableVariable+"="+path), locked+" ", "permission denied")
	}
}

// The end is split between sending and writing down, if there is where to; if there is
// not, the advice is to make it.
func TestStashing(t *testing.T) {
	for _, test := range []struct {
		to, spool string
		want      time.Duration
		advice    bool
	}{
		{"", "", 0, false},
		{"a:1", "", 0, true},
		{"a:1", "/spool", 2 * time.Second, false},
	} {
		d, _ := stoppable(t, time.Second)
		d.sinks.endpointIs.to, d.sinks.endpointIs.spool.Dir = test.to, test.spool
		if got := d.stashing(8 * time.Second); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
		if got := d.advice(); (got != "") != test.advice {
			t.Errorf("%+v: %q", test, got)
		}
	}
}
