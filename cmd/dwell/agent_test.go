// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// One life of a daemon: start, pings, scrapes, a good and a bad reload, the end.
func TestAgent(t *testing.T) {
	l, before, sink := testLab(t), programs(t), startBackend(t, "127.0.0.1:0")
	base := labConfig(l, "export:\n  otlp: {endpoint: \""+sink.address+"\"}\n  spool: {dir: "+t.TempDir()+"/spool}\n")
	config := base + "metrics: {otlp: {enabled: true, interval: 100ms}}\n"
	d := startAgent(t, config)
	if body := d.get("/readyz", "", http.StatusOK); body != "ok\n" {
		t.Errorf("readyz: %q", body)
	}
	pingLab(t, l, 5)
	awaitTraces(t, 5, sink)
	checkScrapes(t, d, sink)
	sink.awaitMetrics(t, "dwell.device.duration", "dwell.pings", "dwell.agent.events")

	d.reload(config + "log: {level: loud}\n")
	d.mustLog("dwell.yaml:9:14: log.level: \\\"loud\\\" is not one of debug, info, warn, error")
	d.get("/readyz", "", http.StatusOK)
	d.reload(base + "log: {level: debug}\nmetrics: {prometheus: {enabled: false}}\n")
	d.mustLog(`changed="metrics.prometheus.enabled, metrics.otlp.enabled, metrics.otlp.interval, log.level"`)
	d.get("/metrics", "", http.StatusNotFound)
	d.reload(strings.Replace(config, "127.0.0.1:0", "127.0.0.1:1", 1))
	d.mustLog("settings that need a restart", "http.listen")
	metrics := d.get("/metrics", "", http.StatusOK)
	for result, want := range map[string]int{"success": 2, "failure": 1} {
		line := fmt.Sprintf(`(?m)^dwell_agent_config_reloads_total\{.*result="%s"\} %d$`, result, want)
		if !regexp.MustCompile(line).MatchString(metrics) {
			t.Errorf("no line %s", line)
		}
	}
	pingLab(t, l, 5)
	if status := d.stop(); status != 0 {
		t.Errorf("status %d\n%s", status, d.log)
	}
	d.mustLog("pings=10 complete=10", "events_lost=0")
	awaitTraces(t, 10, sink)
	checkProgramsGone(t, before)
}

// get fetches a page and returns it.
func (d *agentProcess) get(path, accept string, want int) string {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.address()+path, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.log)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		d.t.Errorf("%s: %s, %v\n%s", path, resp.Status, err, body)
	}
	return string(body)
}

// checkScrapes fetches the metrics in each format that Prometheus asks for.
func checkScrapes(t *testing.T, d *agentProcess, sink *backend) {
	t.Helper()
	text := d.get("/metrics", "text/plain", http.StatusOK)
	if !regexp.MustCompile(`(?m)^dwell_pings_total\{.*dwell_outcome="complete".*\} 5$`).MatchString(text) {
		t.Errorf("no 5 pings in\n%s", text)
	}
	open := d.get("/metrics", "application/openmetrics-text;version=1.0.0", http.StatusOK)
	exemplars := regexp.MustCompile(`dwell_device_duration_seconds_bucket.* # .*trace_id="([0-9a-f]{32})"`).FindAllStringSubmatch(open, -1)
	if len(exemplars) == 0 {
		t.Errorf("no exemplars in\n%s", open)
	}
	for _, e := range exemplars {
		if !sink.has(e[1]) {
			t.Errorf("exemplar of trace %s, which was not sent", e[1])
		}
	}
	binary := d.get("/metrics", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", http.StatusOK)
	if !hasNativeHistogram(t, binary) {
		t.Error("no native histogram of devices")
	}
	if page := d.get("/", "", http.StatusOK); !strings.Contains(page, "5 so far, 0 events lost") {
		t.Errorf("index page:\n%s", page)
	}
}

func hasNativeHistogram(t *testing.T, text string) bool {
	t.Helper()
	for dec := expfmt.NewDecoder(bufio.NewReader(strings.NewReader(text)), expfmt.NewFormat(expfmt.TypeProtoDelim)); ; {
		var family dto.MetricFamily
		if err := dec.Decode(&family); errors.Is(err, io.EOF) {
			return false
		} else if err != nil {
			t.Fatal(err)
		}
		if family.GetName() == "dwell_device_duration_seconds" {
			h := family.GetMetric()[0].GetHistogram()
			return h.Schema != nil && len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 0
		}
	}
}

// No trace is lost while pings go through and everything that can be exchanged is, again
// and again: the endpoint with its spool taken over, the scope, the metrics. Each ping has
// its trace at one of the endpoints.
func TestAgentReloadsLoseNothing(t *testing.T) {
	l, one, other := testLab(t), startBackend(t, "127.0.0.1:0"), startBackend(t, "127.0.0.1:0")
	spool, file, nobody := t.TempDir(), filepath.Join(t.TempDir(), "traces.jsonl"), refusing(t)
	_, hypervisor := l.NetNS(lab.Hypervisor)
	_, guest := l.NetNS(lab.Guest)
	_, outside := l.NetNS(lab.Outside)
	to := func(address, more string) string {
		return labConfig(l, "export:\n  otlp: {endpoint: \""+address+"\"}\n  file: "+file+"\n"+more)
	}
	withSpool := "  spool: {dir: " + spool + "}\n"
	configs := []struct {
		text  string
		sends *backend
	}{
		{to(one.address, withSpool), one},
		{to(nobody, withSpool), nil}, // what waits there is for the next one
		{to(other.address, withSpool+"metrics: {max_series: 100}\n"), other},
		{strings.Replace(to("http://"+one.address, ""), "  netns:", "  netns: ["+guest+", "+hypervisor+", "+outside+", nowhere]\n  #", 1), one},
		{"nonsense", nil},
	}
	d := startAgent(t, configs[0].text)
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() { sent <- pingUntil(t, l, stop) }()
	const rounds = 1 // each configuration follows another once
	for i := range rounds * len(configs) {
		c, seen := configs[(i+1)%len(configs)], 0
		if c.sends != nil {
			seen = c.sends.requests()
		}
		d.reload(c.text)
		if c.sends != nil {
			c.sends.awaitRequest(t, seen)
		}
	}
	close(stop)
	pings := <-sent
	if status := d.stop(); status != 0 {
		t.Errorf("status %d\n%s", status, d.log)
	}
	d.mustLog(fmt.Sprintf("pings=%d complete=%[1]d dropped=0 incomplete=0", pings), "events_lost=0",
		"no network namespace matches these references", "names=nowhere", "every network namespace of the scope is present")
	if strings.Contains(d.log.String(), " lost=") {
		t.Errorf("something was lost:\n%s", d.log)
	}
	if n := strings.Count(d.log.String(), "configuration reloaded"); n != rounds*4 {
		t.Errorf("%d good reloads\n%s", n, d.log)
	}
	if lines, err := os.ReadFile(file); err != nil || bytes.Count(lines, []byte("\n")) != pings {
		t.Errorf("%d pings, %d traces in the file, which every configuration has, %v", pings, bytes.Count(lines, []byte("\n")), err)
	}
	d = startAgent(t, configs[0].text) // what the spool still had at the end
	if traces := awaitTraces(t, pings, one, other); traces != pings {
		t.Errorf("%d pings, %d traces", pings, traces)
	}
	if status := d.stop(); status != 0 {
		t.Errorf("status %d\n%s", status, d.log)
	}
	t.Logf("%d pings over %d reloads", pings, rounds*len(configs))
}

// pingUntil pings 500 times a second and returns how many had a reply.
func pingUntil(t *testing.T, l *lab.Lab, stop <-chan struct{}) (replies int) {
	ns, err := l.Open(lab.Guest)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer ns.Close()
	for {
		select {
		case <-stop:
			return replies
		default:
		}
		r, err := pinger.Run(t.Context(), pinger.Config{NetNS: ns, Target: l.Target(false), Count: 100, Interval: 2 * time.Millisecond, Timeout: patience})
		if err != nil {
			t.Error(err)
			return replies
		}
		replies += 100 - r.Lost()
	}
}

// What could not be sent waits in the spool for the next agent; without one the end takes
// no longer than it may, and says what was lost.
func TestAgentWithoutBackend(t *testing.T) {
	l := testLab(t)
	address := refusing(t)
	to := "export:\n  otlp: {endpoint: \"" + address + "\"}\n"

	d := startAgent(t, labConfig(l, to+"shutdown: {timeout: 1s}\n"))
	pingLab(t, l, 3)
	if status := d.stop(); status != 1 {
		t.Errorf("without a spool: status %d\n%s", status, d.log)
	}
	d.mustLog("dwell: 3 traces", "were lost on shutdown", "export.spool.dir", address)

	spooled := labConfig(l, to+"  spool: {dir: "+t.TempDir()+"}\n"+"shutdown: {timeout: 1m}\n")
	d = startAgent(t, spooled)
	pingLab(t, l, 3)
	if status := d.stop(); status != 0 {
		t.Errorf("with a spool: status %d\n%s", status, d.log)
	}
	sink := startBackend(t, address)
	d = startAgent(t, spooled)
	awaitTraces(t, 3, sink)
	if status := d.stop(); status != 0 {
		t.Errorf("with the backend there: status %d\n%s", status, d.log)
	}
}

// What cannot work says so in one line, with what to change.
func TestAgentErrors(t *testing.T) {
	testLab(t) // for its privileges
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const anyPort = "http: {listen: \"127.0.0.1:0\"}\n"
	for name, test := range map[string]struct {
		config string
		env    string
		want   []string
	}{
		"mistake":         {"trace:\n  netns: 5\n", "", []string{"c.yaml:2:10: trace.netns", "a list"}},
		"port in use":     {"http:\n  listen: \"" + taken.Addr().String() + "\"\n", "", []string{"c.yaml:2:11: http.listen", "address already in use", "DWELL_HTTP_LISTEN"}},
		"port by env":     {"", "DWELL_HTTP_LISTEN=" + taken.Addr().String(), []string{"dwell: DWELL_HTTP_LISTEN: http.listen", "address already in use"}},
		"no CA":           {"export: {otlp: {endpoint: \"a:1\", tls: {ca_file: /nowhere}}}\n" + anyPort, "", []string{"export.otlp.tls.ca_file", "/nowhere", "no such file"}},
		"bad CA":          {"export: {otlp: {endpoint: \"a:1\", tls: {ca_file: " + file + "}}}\n" + anyPort, "", []string{"export.otlp.tls.ca_file", "no PEM certificate"}},
		"file in nothing": {"export: {file: /nowhere/x}\n" + anyPort, "", []string{"c.yaml:1:16: export.file", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(path, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			p := dwell(t, "agent", "--config", path)
			p.Env = append(p.Env, test.env)
			if status := p.exit(t); status != 1 {
				t.Errorf("status %d", status)
			}
			_, last, _ := strings.Cut("\n"+p.stderr.String(), "\ndwell: ")
			checkOneLine(t, "dwell: "+last, test.want...)
		})
	}
	p := dwell(t, "agent", "--config", filepath.Join(dir, "none"))
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), "there is no configuration file", "--print-defaults")
}

func TestAgentWithoutRoot(t *testing.T) {
	exe := filepath.Join(os.TempDir(), testPrefix()+".agent.exe")
	copyExecutable(t, exe)
	p := program(t, exe, "agent", "--config", "/dev/null")
	p.Env = append(p.Env, "DWELL_HTTP_LISTEN=127.0.0.1:0")
	if os.Geteuid() == 0 {
		p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	p.Dir = "/"
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	_, last, _ := strings.Cut(p.stderr.String(), "\ndwell: ")
	checkOneLine(t, "dwell: "+last, "root")
}

// The defaults that are printed are a good configuration, and --check says what would run.
func TestAgentCheck(t *testing.T) {
	p := dwell(t, "agent", "--print-defaults")
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d: %s", status, &p.stderr)
	}
	path := filepath.Join(t.TempDir(), "dwell.yaml")
	if err := os.WriteFile(path, p.stdout.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	p = dwell(t, "agent", "--check", "--config", path)
	p.Env = append(p.Env, "DWELL_SAMPLING_RATIO=0.5", "DWELL_TRACE_NETN=typo", "DWELL_EXPORT_OTLP_ENDPOINT=c:4317")
	if status := p.exit(t); status != 0 {
		t.Fatalf("status %d: %s", status, &p.stderr)
	}
	for _, want := range []string{"50 %", "OTLP/gRPC to c:4317", "http://127.0.0.1:9464/metrics", "did you mean DWELL_TRACE_NETNS?", "dwell.yaml is valid"} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &p.stdout)
		}
	}
	p = dwell(t, "agent", "--check", "--config", path)
	p.Env = append(p.Env, "DWELL_SAMPLING_RATIO=2")
	if status := p.exit(t); status != 1 {
		t.Errorf("status %d", status)
	}
	checkOneLine(t, p.stderr.String(), "DWELL_SAMPLING_RATIO: sampling.ratio: 2 is not between 0 and 1")
}
