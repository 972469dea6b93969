// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/backend/api"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

// TestAgentProbes has nobody but the agent ping: what it needs to alert on hypervisors is there,
// the exemplars are traces of the probes, and a tenant's own probes are the tenant's.
func TestAgentProbes(t *testing.T) {
	l := testLab(t)
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "traces.jsonl"), filepath.Join(dir, "api.sock")
	_, guest := l.NetNS(lab.Guest)
	base := "export: {file: " + file + "}\napi: {socket: " + socket + "}\n" + fmt.Sprintf(`
tenants:
- {id: red, netns: [%s], probes: [{name: own, netns: [%[1]s], targets: ['%[2]s'], interval: 100ms}]}
- {id: blue, netns: [nowhere], probes: [{name: theirs, netns: [%[1]s], targets: ['%[2]s'], interval: 100ms}]}
`, guest, l.Target(false))
	operators := fmt.Sprintf("probes: [{name: op, netns: [%s], targets: ['%s', '%s'], interval: 100ms}]\n", guest, l.Target(false), l.Target(true))
	d := startAgent(t, labConfig(l, base+operators))
	for _, want := range []string{
		`dwell_probe_success\{.*destination_address="` + l.Target(false).String() + `".*dwell_probe_name="op",dwell_tenant_id="",.*\} 1.0`,
		`dwell_probe_success\{.*destination_address="` + l.Target(true).String() + `".*dwell_probe_name="op",dwell_tenant_id="",.*\} 1.0`,
		`dwell_probe_success\{.*dwell_probe_name="own",dwell_tenant_id="red",.*\} 1.0`,
		`dwell_probe_results_total\{.*dwell_probe_name="own",dwell_probe_result="success",dwell_tenant_id="red",.*\} [1-9].*`,
		`dwell_agent_probes_refused\{.*reason="not_owned"\} 1.0`,
		`dwell_device_duration_seconds_count\{.*dwell_kind="hypervisor".*\} [1-9].*`,
		`dwell_ping_duration_seconds_count\{.*network_type="ipv6".*\} [1-9].*`,
	} {
		d.awaitMetric("^" + want + "$")
	}
	exemplar := d.awaitMetric(`^dwell_probe_duration_seconds_bucket\{.*dwell_probe_name="op".* # .*trace_id="([0-9a-f]{32})".*$`)
	if metrics := d.get("/metrics", "", http.StatusOK); strings.Contains(metrics, `dwell_tenant_id="blue"`) {
		t.Errorf("blue has probed from red's namespace:\n%s", metrics)
	}
	for tenant, want := range map[string]bool{"red": true, "blue": false} {
		if pings := ask(t, socket, "/v1/tenants/"+tenant+"/pings"); strings.Contains(pings, "trace_id") != want {
			t.Errorf("%s sees: %s", tenant, pings)
		}
	}
	askProbes(t, socket, guest)
	d.reload(labConfig(l, base))
	d.awaitNoMetric(`^dwell_probe_success\{.*dwell_probe_name="op".*$`)
	d.awaitMetric(`^dwell_probe_success\{.*dwell_probe_name="own".*\} 1.0$`)
	if status := d.stop(); status != 0 {
		t.Errorf("status %d\n%s", status, d.log)
	}
	if traces, err := os.ReadFile(file); err != nil || !bytes.Contains(traces, []byte(exemplar)) {
		t.Errorf("the exemplar %s is not among the traces in the file, %v", exemplar, err)
	}
}

// askProbes asks how the probes go: the operator sees all, and each tenant its own alone.
func askProbes(t *testing.T, socket, guest string) {
	t.Helper()
	for path, want := range map[string]string{
		"/v1/probes":              "/op/success /op/success red/own/success; blue/theirs: " + guest + " is not known: false",
		"/v1/tenants/red/probes":  "red/own/success; blue/theirs: " + guest + " is not known: false",
		"/v1/tenants/blue/probes": "; blue/theirs: " + guest + " is not known: true",
	} {
		var probes api.Probes
		if err := json.Unmarshal([]byte(ask(t, socket, path)), &probes); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var got []string
		for _, p := range probes.Probes {
			got = append(got, p.Tenant+"/"+p.Name+"/"+p.Result)
			if p.LastSuccess == nil || p.RTT == nil || *p.RTT <= 0 || p.Next == nil || p.NetNS != guest {
				t.Errorf("%s: %+v", path, p)
			}
		}
		theirs := "blue/theirs: " + guest
		if text := strings.Join(got, " ") + "; " + theirs + fmt.Sprintf(" is not known: %t", slices.Contains(probes.Unresolved, theirs)); text != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
}

// openMetrics is the format that has exemplars.
const openMetrics = "application/openmetrics-text;version=1.0.0"

// awaitMetric waits for a line of the metrics, and returns its first group.
func (d *agentProcess) awaitMetric(line string) string {
	d.t.Helper()
	want := regexp.MustCompile("(?m)" + line)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		text := d.get("/metrics", openMetrics, http.StatusOK)
		if found := want.FindStringSubmatch(text); found != nil {
			return found[len(found)-1]
		}
		if time.Now().After(end) {
			d.t.Fatalf("no line %s in\n%s\n%s", line, text, d.log)
		}
	}
}

// awaitNoMetric waits until no line of the metrics is like that.
func (d *agentProcess) awaitNoMetric(line string) {
	d.t.Helper()
	unwanted := regexp.MustCompile("(?m)" + line)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); unwanted.MatchString(d.get("/metrics", openMetrics, http.StatusOK)); <-tick.C {
		if time.Now().After(end) {
			d.t.Fatalf("there still is %s", line)
		}
	}
}

// ask asks the API as its operator, which the agent's own user is.
func ask(t *testing.T, socket, path string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dwell"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
