// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
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
		"a file for tenants' spools":  {"tenancy: {export: {spool: {dir: /etc/passwd}}}", nil, "tenancy.export.spool.dir: /etc/passwd is not a directory", true},
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

// A spool that cannot be taken over is taken over when it can be, and traces are sent and
// counted meanwhile.
func TestSpoolThatCannotBeTakenOver(t *testing.T) {
	s, dir := newSinks(otlpOptions(), quiet()), filepath.Join(t.TempDir(), "spool")
	change := func(endpoint string) {
		p, err := s.prepare(parse(t, "export: {otlp: {endpoint: \""+endpoint+"\"}, spool: {dir: "+dir+"}}"))
		if err != nil {
			t.Fatal(err)
		}
		p.carryOut(0)
	}
	change("127.0.0.1:1")
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	change("127.0.0.1:2")
	if !s.endpoint.open() || s.spoolLimit.Load() == 0 || s.Stats().SpoolsFailing != 1 {
		t.Errorf("open: %t, limit of the spool %d, %+v", s.endpoint.open(), s.spoolLimit.Load(), s.Stats())
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
	until(t, "the spool is there", func() bool { return s.Stats().SpoolsFailing == 0 && !isFree(t, dir) })
	s.endBy(time.Now())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
