// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/tally"
)

// get fetches a page of the daemon's.
func (l *life) get(path string) (status int, body string) {
	l.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, "http://"+l.server.addr.String()+path, http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// One life, as the service manager and a probe see it: not ready before the agent is
// attached, ready, and not ready while it ends; what was seen is in the file.
func TestLife(t *testing.T) {
	file := filepath.Join(t.TempDir(), "traces.jsonl")
	l := begin(t, "export: {file: "+file+"}\n")
	l.agent.stuck = make(chan struct{})
	if err := l.health().ready(); err == nil || !strings.Contains(err.Error(), "starting") {
		t.Errorf("before the start: %v", err)
	}
	l.run()
	if got := l.state(); got != "READY=1\nSTATUS=tracing in 0 network namespaces: 0 pings, 0 events lost" {
		t.Errorf("%q", got)
	}
	l.agent.set(func(f *fakeAgent) {
		f.status = agent.Status{Attached: true, LastIteration: time.Now(), NetNS: 3, Summary: agent.Summary{Counts: tally.Counts{Complete: 7}}}
	})
	if status, body := l.get("/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("readyz: %d %q", status, body)
	}
	if _, body := l.get("/"); !strings.Contains(body, "3 network namespaces: 7 so far") {
		t.Errorf("index: %s", body)
	}
	l.agent.see(t, pings(1)[0])
	if _, body := l.get("/metrics"); !strings.Contains(body, "dwell_pings_total{") {
		t.Errorf("no ping in\n%s", body)
	}
	l.term()
	if got := l.state(); got != "STOPPING=1\nSTATUS=stopping" {
		t.Errorf("%q", got)
	}
	if status, body := l.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("readyz while it ends: %d %q", status, body)
	}
	if status, body := l.get("/livez"); status != http.StatusOK {
		t.Errorf("livez while it ends: %d %q", status, body)
	}
	close(l.agent.stuck)
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	says(t, l.log.String(), "pings=7 complete=7", "spans_sent=2", "host=name", "version=v1<")
	if lines, err := os.ReadFile(file); err != nil || strings.Count(string(lines), "\n") != 1 {
		t.Errorf("the file has %q, error %v", lines, err)
	}
	if _, err := http.Get("http://" + l.server.addr.String()); err == nil { //nolint:noctx,bodyclose // there must be none
		t.Error("the server still answers")
	}
}

// The agent is given what the configuration says, and counts what it sees whether or not
// it is sent.
func TestAgentIsGivenTheConfiguration(t *testing.T) {
	l := live(t, "host: {id: h}\ntrace: {netns: [a], timeout: 3s, ring_size: 2MiB, vxlan_ports: [99], key: 000102030405060708090a0b0c0d0e0f, root: host}\nshutdown: {timeout: 4s}\ncontainers: {sockets: [none]}\n")
	o, key := l.agent.opts, correlate.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	if o.HostID != "h" || o.IdleTimeout != 4*time.Second || o.Timeout != 3*time.Second || o.BPF.RingBytes != 2<<20 ||
		len(o.BPF.VXLANPorts) != 1 || o.BPF.VXLANPorts[0] != 99 || len(o.Scope.NetNS) != 1 || !o.OwnRoot || o.Key != key || !o.Containers || o.ContainerSockets != nil {
		t.Errorf("%+v", o)
	}
	o.WithoutNetfilter(errors.New("too old a kernel"))
	says(t, l.log.String(), "too old a kernel")
	l.agent.see(t, pings(1)[0]) // goes nowhere
	if got := l.sinks.Stats(); got.Sent.Traces != 0 || got.TotalLost().Traces != 0 {
		t.Errorf("%+v", got)
	}
	if _, body := l.get("/metrics"); !strings.Contains(body, "dwell_pings_total{") {
		t.Errorf("no ping in\n%s", body)
	}
}

// An agent that ends by itself ends the daemon, and both say why.
func TestAgentEndsByItself(t *testing.T) {
	l := live(t, "")
	l.agent.over <- errors.New("the ring buffer is gone")
	err := <-l.done
	if err == nil || !strings.Contains(err.Error(), "the ring buffer is gone") {
		t.Errorf("%v", err)
	}
}

// What fails at the start is the error, and what was there by then is let go of.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://a:1")
	for name, test := range map[string]struct {
		config string
		agent  func(agent.Options) (tracing, error)
		want   string
	}{
		"the agent": {"", func(agent.Options) (tracing, error) { return nil, errors.New("needs root") }, "needs root"},
		"the agent, late": {
			"export: {otlp: {endpoint: \"127.0.0.1:1\"}, spool: {dir: " + spool + "}}",
			func(o agent.Options) (tracing, error) {
				_, err := o.Open()
				return nil, errors.Join(err, errors.New("cannot attach"))
			}, "cannot attach",
		},
		"the file": {
			"export: {otlp: {endpoint: \"127.0.0.1:1\"}, spool: {dir: " + spool + "}, file: /nowhere/x}", nil, "export.file",
		},
		"TLS":     {"export: {otlp: {tls: {ca_file: /nowhere}}}", nil, "export.otlp.tls.ca_file"},
		"metrics": {"metrics: {otlp: {enabled: true}}", nil, "metrics.otlp.endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, "")
			l.write(test.config + "\n")
			if test.agent != nil {
				l.startAgent = test.agent
			}
			loaded := parseFile(t, l)
			l.config = loaded.Config
			if err := l.daemon.run(t.Context(), loaded); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
			if l.server != nil {
				select {
				case <-l.server.done:
				default:
					t.Error("the server still runs")
				}
			}
			if strings.Contains(test.config, spool) && !isFree(t, spool) {
				t.Error("the spool is still held")
			}
		})
	}
}

// A ratio that sampling cannot do is an error of the configuration.
func TestRatioTooSmall(t *testing.T) {
	_, err := newDaemon(Options{Stderr: io.Discard}, parse(t, "sampling: {ratio: 1e-30}\n"))
	if err == nil || !strings.Contains(err.Error(), "f:1") || !strings.Contains(err.Error(), "sampling") {
		t.Errorf("%v", err)
	}
}

// Run is that of a process: its errors are of the configuration and the start.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := Run(t.Context(), Options{File: filepath.Join(dir, "none"), Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("without a file: %v", err)
	}
	file := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(file, []byte("log: {format: json}\nhttp: {listen: \"127.0.0.1:99999\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), Options{File: file, Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("with a bad port: %v", err)
	}
}

// The log is as the configuration says, and OnLogger gets it at the start.
func TestLogger(t *testing.T) {
	for format, isJSON := range map[string]bool{"text": false, "json": true} {
		var out strings.Builder
		var given *slog.Logger
		opts := Options{Stderr: &out, OnLogger: func(l *slog.Logger) { given = l }}
		d, err := newDaemon(opts, parse(t, "log: {format: "+format+", level: warn}\n"))
		if err != nil || given == nil || given != d.log {
			t.Fatalf("%v, the logger is %v", err, given)
		}
		given.Info("quiet")
		given.Warn("loud", "key", "value")
		d.level.Set(slog.LevelInfo)
		given.Info("now loud")
		var levels []string
		for lines := bufio.NewScanner(strings.NewReader(out.String())); lines.Scan(); {
			var line struct{ Level, Msg, Key string }
			if isJSON && json.Unmarshal(lines.Bytes(), &line) != nil || !isJSON && !strings.Contains(lines.Text(), "level=") {
				t.Errorf("%s: %q", format, lines.Text())
			}
			levels = append(levels, lines.Text())
		}
		if len(levels) != 2 || !strings.Contains(levels[0], "loud") || !strings.Contains(levels[1], "now loud") {
			t.Errorf("%s: %q", format, levels)
		}
	}
}

// What is sampled out is counted as a ping and not sent.
func TestSampling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "traces.jsonl")
	l := live(t, "sampling: {at: export, ratio: 0}\nexport: {file: "+file+"}\n")
	l.agent.see(t, complete())
	l.agent.see(t, &trace.Trace{Spans: make([]trace.Span, 3), Outcome: trace.Dropped})
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	says(t, l.log.String(), "sampled_out=1", "spans_sent=3")
}

// The kernel side leaves out what the exporter would, from the start on and as a reload has it, unless the
// configuration wants that at export.
func TestSamplingInTheKernel(t *testing.T) {
	const tenth, half = 0xe666 << 40, 1 << 55
	l := live(t, "sampling: {ratio: 0.1}\n")
	if got := l.agent.opts.Threshold; got != tenth {
		t.Errorf("at the start: %#x, want %#x", got, tenth)
	}
	for _, next := range []struct {
		text      string
		threshold uint64
		ratio     float64
	}{
		{"ratio: 0.5", half, 0.5}, {"at: export, ratio: 0.1", 0, 0.1}, {"ratio: 0.1", tenth, 0.1}, {"ratio: 1", 0, 1},
	} {
		says(t, l.reload("sampling: {"+next.text+"}\n"), "configuration reloaded")
		edge := complete()
		edge.ID = trace.ID{9: 0xe6, 10: 0x65, 11: 0xff}
		var inKernel uint64
		l.agent.set(func(f *fakeAgent) { inKernel = f.threshold })
		if kept, want := l.sampler.Keeps(edge), next.ratio > 0.1; kept != want || inKernel != next.threshold {
			t.Errorf("%s: %#x in the kernel, what is just below a tenth is exported: %t", next.text, inKernel, kept)
		}
	}
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}
