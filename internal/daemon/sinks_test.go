// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/config"
)

// take carries out what a configuration asks for, and returns what it was.
func take(t *testing.T, s *sinks, text string) *plan {
	t.Helper()
	p, err := s.prepare(parse(t, text+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.carryOut(0)
	return p
}

func endNow(t *testing.T, s *sinks) {
	t.Helper()
	s.endBy(time.Now())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// An exporter is exchanged if something has changed that it is made of, and for nothing
// else: an exchange costs a connection, and with a file what is in it.
func TestWhatIsExchanged(t *testing.T) {
	dir := t.TempDir()
	cert, _ := keyPair(t, dir)
	file := filepath.Join(dir, "f")
	exportOf := func(more string) string { return "export: {otlp: {endpoint: \"127.0.0.1:1\"" + more + "}" }
	base := exportOf("") + ", file: " + file + "}"
	for name, test := range map[string]struct {
		text           string
		endpoint, file bool
	}{
		"nothing":     {base, false, false},
		"others":      {base + "\nsampling: {ratio: 0.5}\nmetrics: {max_series: 9}\nlog: {level: debug}\nshutdown: {timeout: 1s}", false, false},
		"endpoint":    {"export: {otlp: {endpoint: \"127.0.0.1:2\"}, file: " + file + "}", true, false},
		"header":      {exportOf(", headers: {a: b}") + ", file: " + file + "}", true, false},
		"timeout":     {exportOf(", timeout: 3s") + ", file: " + file + "}", true, false},
		"TLS":         {exportOf(", tls: {ca_file: "+cert+"}") + ", file: " + file + "}", true, false},
		"queue":       {exportOf("") + ", queue: {spans: 99}, file: " + file + "}", true, false},
		"spool":       {exportOf("") + ", spool: {dir: " + dir + "/s}, file: " + file + "}", true, false},
		"other file":  {exportOf("") + ", file: " + file + "2}", false, true},
		"no file":     {exportOf("") + "}", false, true},
		"no endpoint": {"export: {file: " + file + "}", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSinks(otlpOptions(), quiet())
			take(t, s, base)
			p := take(t, s, test.text)
			if p.newEndpoint != test.endpoint || p.newFile != test.file {
				t.Errorf("endpoint: %v, file: %v", p.newEndpoint, p.newFile)
			}
			if again := take(t, s, test.text); again.newEndpoint || again.newFile {
				t.Errorf("the second time endpoint: %v, file: %v", again.newEndpoint, again.newFile)
			}
			endNow(t, s)
		})
	}
}

// Certificates that are renewed under the same names make a new exporter.
func TestRenewedCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := keyPair(t, dir)
	text := "export: {otlp: {endpoint: \"127.0.0.1:1\", tls: {cert_file: " + cert + ", key_file: " + key + "}}}"
	s := newSinks(otlpOptions(), quiet())
	take(t, s, text)
	if p := take(t, s, text); p.newEndpoint {
		t.Error("was exchanged for the same files")
	}
	keyPair(t, dir)
	if p := take(t, s, text); !p.newEndpoint || len(p.tls.Certificates) != 1 {
		t.Error("was not exchanged for the renewed ones")
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.prepare(parse(t, text+"\n")); err == nil || !s.endpoint.open() {
		t.Errorf("half renewed: %v; sent: %v", err, s.endpoint.open())
	}
	endNow(t, s)
}

// A plan that is dropped lets go of the spool and leaves a file that was there before as
// it was, and the sinks as they were.
func TestDroppedPlan(t *testing.T) {
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	s := newSinks(otlpOptions(), quiet())
	text := "export: {otlp: {endpoint: \"127.0.0.1:1\"}, spool: {dir: " + spool + "}, file: " + dir + "/f}\n"
	p, err := s.prepare(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if s.open() || isFree(t, spool) {
		t.Errorf("prepared: sent: %v, the spool is free: %v", s.open(), isFree(t, spool))
	}
	p.drop()
	if s.open() || !isFree(t, spool) || s.spoolLimit.Load() != 0 {
		t.Errorf("dropped: sent: %v, the spool is free: %v", s.open(), isFree(t, spool))
	}
	take(t, s, text)
	if limit := s.spoolLimit.Load(); limit != 256<<20 {
		t.Errorf("limit of the spool %d", limit)
	}
	endNow(t, s)
	if !isFree(t, spool) {
		t.Error("the spool is still held")
	}
}

// A spool that was just left can be taken again at once, and what is in it is known.
func TestBackToTheSpool(t *testing.T) {
	spool := filepath.Join(t.TempDir(), "spool")
	with := "export: {otlp: {endpoint: \"127.0.0.1:1\"}, spool: {dir: " + spool + "}}"
	s := newSinks(otlpOptions(), quiet())
	take(t, s, with)
	if err := s.Export(t.Context(), pings(3)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		take(t, s, "export: {otlp: {endpoint: \"127.0.0.1:1\"}}")
		if s.spoolLimit.Load() != 0 {
			t.Error("there is a limit of a spool that was left")
		}
		take(t, s, with)
	}
	until(t, "all is in the spool", func() bool { s := s.Stats(); return s.Queued.Traces == 3 && s.Spooled.Traces == 3 })
	if got := s.Stats(); got.TotalLost().Traces != 0 {
		t.Errorf("%+v", got)
	}
	endNow(t, s)
	take(t, s, "")
}

// Traces go to both, to one or nowhere, and the account is of both.
func TestSinksAreBoth(t *testing.T) {
	s := newSinks(otlpOptions(), quiet())
	if err := s.Export(t.Context(), pings(1)); err != nil || s.open() {
		t.Errorf("nowhere: %v, open: %v", err, s.open())
	}
	one, other := &fake{}, &fake{}
	s.file.swap(one)
	if !s.open() {
		t.Error("a file is nothing")
	}
	s.endpoint.swap(other)
	if err := s.Export(t.Context(), pings(2)); err != nil {
		t.Error(err)
	}
	if len(one.got) != 2 || len(other.got) != 2 || s.Stats().Sent.Traces != 4 {
		t.Errorf("%d and %d, %+v", len(one.got), len(other.got), s.Stats())
	}
	endNow(t, s)
	if !one.over || !other.over || s.open() {
		t.Errorf("over: %v and %v, open: %v", one.over, other.over, s.open())
	}
}

// What stands in the configuration is what an exporter is given; an endpoint of the
// environment is left to the exporter, since the environment may say more of it.
func TestEndpointOptions(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:1")
	const more = "timeout: 3s, headers: {a: b}}, queue: {spans: 100, batch_spans: 10, delay: 5ms}, spool: {dir: /d, max_bytes: 2MiB}}\n"
	for text, to := range map[string]string{
		"export: {otlp: {endpoint: \"a:1\", " + more: "a:1", "export: {otlp: {" + more: "",
	} {
		l := parse(t, text)
		p := &plan{sinks: newSinks(otlpOptions(), quiet()), loaded: l, endpointIs: endpointSettings{to: endpoint(l.Export.OTLP)}}
		o := p.endpointOptions()
		if o.Endpoint != to || o.Timeout != 3*time.Second || o.Headers["a"] != "b" || o.OTLP.Host.ID != "id" || o.Source != "export.otlp.endpoint" {
			t.Errorf("%+v", o)
		}
		if diff := cmp.Diff(exporter.Queue{Spans: 100, BatchSpans: 10, Senders: 4, Delay: 5 * time.Millisecond}, o.Queue); diff != "" {
			t.Errorf("queue (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(exporter.Spool{Dir: "/d", MaxBytes: 2 << 20}, o.Spool); diff != "" {
			t.Errorf("spool (-want +got):\n%s", diff)
		}
	}
	if q := queue(config.Default().Export.Queue, time.Second); q.Wait != time.Second {
		t.Errorf("%+v", q)
	}
}

// TLS without any file is that of the system's certificates, and no older than 1.2.
func TestTLSWithoutFiles(t *testing.T) {
	c, _, err := loadTLS(parse(t, "export: {otlp: {tls: {insecure: false}}}\n"))
	if err != nil || c == nil || c.RootCAs != nil || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v, %v", c, err)
	}
}
