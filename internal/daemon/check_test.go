// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// What a start would refuse is not good, and what would do nothing is told.
func TestCheckIsAsStrictAsAStart(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		env  map[string]string
		want string
		good bool
	}{
		"endpoint of the environment": {"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1/v1"}, "OTEL_EXPORTER_OTLP_ENDPOINT", false},
		"endpoint for metrics":        {"metrics: {otlp: {enabled: true}}", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "ftp://a:1"}, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", false},
		"plain text to TLS":           {"export: {otlp: {tls: {insecure: true}}}", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://a:1"}, "insecure", false},
		"TLS to plain text":           {"export: {otlp: {tls: {insecure: false}}}", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, "insecure", false},
		"a file for a directory":      {"api: {socket: /etc/passwd/agent.sock}", nil, "c.yaml:1:15: api.socket: ", false},
		"no such group":               {"api:\n  socket: /run/dwell/agent.sock\n  group: dwell-nobody\n", nil, "c.yaml:3:10: api.group: there is no group \"dwell-nobody\"; create it, or give its number", false},
		"no certificate of the API":   {"api: {listen: ':9465', tls: {cert_file: /nowhere, key_file: /nowhere, client_ca_file: /nowhere}}", nil, "api.tls: the certificate of the API: open /nowhere", false},
		"a file for tenants' spools":  {"tenancy: {export: {spool: {dir: /etc/passwd}}}", nil, "tenancy.export.spool.dir: /etc/passwd is not a directory", false},
		"a spool for nothing":         {"export: {spool: {dir: /tmp}}", nil, "export.spool.dir: not used", true},
		"metrics go where traces do":  {"export: {otlp: {endpoint: \"a:1\"}}\nmetrics: {otlp: {enabled: true}}", nil, "OTLP/gRPC to a:1 every", true},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range test.env {
				t.Setenv(key, value)
			}
			file := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			lines, err := Check(Options{File: file, Resource: otlpOptions()})
			if test.good != (err == nil) {
				t.Fatalf("%v", err)
			}
			said := strings.Join(lines, "\n")
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, test.want) {
				t.Errorf("does not say %q:\n%s", test.want, said)
			}
		})
	}
}

// When a spool cannot be taken over, traces are sent without it instead of being lost
// where nobody counts them.
func TestSpoolThatCannotBeTakenOver(t *testing.T) {
	s, dir := newSinks(otlpOptions(), quiet()), filepath.Join(t.TempDir(), "spool")
	change := func(endpoint string) error {
		p, err := s.prepare(parse(t, "export: {otlp: {endpoint: \""+endpoint+"\"}, spool: {dir: "+dir+"}}"))
		if err != nil {
			t.Fatal(err)
		}
		return p.carryOut(0)
	}
	if err := change("127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := change("127.0.0.1:2"); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("taken over: %v", err)
	}
	if !s.endpoint.open() || s.spoolLimit.Load() != 0 {
		t.Errorf("open: %t, limit of the spool %d", s.endpoint.open(), s.spoolLimit.Load())
	}
	one := []*trace.Trace{{Spans: make([]trace.Span, 1)}}
	if err := s.Export(t.Context(), one); err != nil {
		t.Error(err)
	}
	if got := s.Stats(); got.Queued.Plus(got.TotalLost()) != exporter.CountOf(one...) {
		t.Errorf("not accounted for: %+v", got)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := change("127.0.0.1:2"); err != nil { // mended
		t.Error(err)
	}
	if s.spoolLimit.Load() == 0 {
		t.Error("the spool is not there after it was mended")
	}
	s.endBy(time.Now())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
