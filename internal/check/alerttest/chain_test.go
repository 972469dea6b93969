// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/check/otelcoltest"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

const (
	// pace is by how much the rules are run faster: 5 minutes take 10 seconds.
	pace = 30
	// slowRules is the number of firewall rules that make the hypervisor slow: more than in
	// docs/why-the-hypervisor.md, because a fast machine goes through those in less time than
	// the alert allows.
	slowRules = 40_000
	// device is where requests come into the hypervisor of the lab.
	device = "ovs-br"
)

// chain is everything between a packet and a pager.
type chain struct {
	place
	lab        *lab.Lab
	hypervisor *netns.NS
	prometheus prometheus
	// direct is another Prometheus, which scrapes the agent and asks for native
	// histograms.
	direct  prometheus
	webhook *webhook
	// traces is the file with what the Collector received.
	traces    string
	processes []*process
}

// The hypervisor gets slow, and somebody is told; it is fast again, and they are told.
// Each part is the real one, in a process of its own, and the rules are those shipped.
func TestAlertFiresAndResolves(t *testing.T) {
	t.Parallel() // it mostly waits
	privilegetest.BPF(t)
	begun := time.Now()
	c := startChain(t)
	t.Logf("everything runs after %v", time.Since(begun).Round(time.Millisecond))
	_, hypervisor := c.lab.NetNS(lab.Hypervisor)
	p99 := fmt.Sprintf(`dwell:hypervisor_duration_seconds:p99_5m{network_interface_name=%q}`, device)
	// Nor is an alert about to fire, or firing, of a machine that was busy.
	unhurried := p99 + ` < 200e-6 unless on () ALERTS{alertname="DwellHypervisorSlow"}`
	await(t, "an unhurried hypervisor", c.processes, func() string {
		if _, ok := c.prometheus.value(t, unhurried); !ok {
			v, _ := c.prometheus.value(t, p99)
			return fmt.Sprintf("p99 is %v", v)
		}
		return ""
	})

	t.Logf("unhurried after %v", time.Since(begun).Round(time.Millisecond))
	slow := time.Now()
	tool, err := bench.SetRules(t.Context(), c.hypervisor, slowRules)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{
		"alertname": "DwellHypervisorSlow", "host_name": hostName,
		"dwell_netns_name": hypervisor, "network_interface_name": device,
	}
	fired := c.await(t, "firing", slow, labels)
	t.Logf("%d rules of %s: firing at the webhook after %v: %s", slowRules, tool, time.Since(slow).Round(time.Millisecond),
		fired.Annotations["description"])
	c.checkAlert(t, fired)
	c.checkExemplars(t)
	c.checkLabels(t)
	c.checkDirect(t, fired)
	c.checkDashboard(t)

	fast := time.Now()
	if _, err := bench.SetRules(t.Context(), c.hypervisor, 0); err != nil {
		t.Fatal(err)
	}
	c.await(t, "resolved", slow, fired.Labels)
	t.Logf("without the rules: resolved at the webhook after %v", time.Since(fast).Round(time.Millisecond))
}

// await waits for an alert at the webhook that began at the time or later.
func (c *chain) await(t *testing.T, status string, since time.Time, labels map[string]string) (found alert) {
	t.Helper()
	await(t, "the alert to be "+status+" at the webhook", c.processes, func() string {
		var ok bool
		if found, ok = c.webhook.find(status, since, labels); ok {
			return ""
		}
		return fmt.Sprintf("it has %+v", c.webhook.seen())
	})
	return found
}

// checkAlert looks at what whoever is woken reads.
func (c *chain) checkAlert(t *testing.T, a alert) {
	t.Helper()
	// Ten times slower than it takes is critical: on a machine that busy, so be it.
	if s := a.Labels["severity"]; s != "warning" && s != "critical" {
		t.Errorf("severity is %q", s)
	}
	if len(a.Labels) != 5 {
		t.Errorf("the alert has other labels than the five that it should: %q", a.Labels)
	}
	summary := a.Annotations["summary"]
	if !strings.Contains(summary, device) || !strings.Contains(summary, hostName) {
		t.Errorf("the summary names not both device and host: %s", summary)
	}
	if traces := a.Annotations["traces"]; !strings.HasPrefix(traces, "http://jaeger.test:16686/search?") {
		t.Errorf("the link to the traces is %q", traces)
	}
}

// checkExemplars follows one from Prometheus to a trace that the Collector received.
func (c *chain) checkExemplars(t *testing.T) {
	t.Helper()
	await(t, "an exemplar whose trace was received", c.processes, func() string {
		ids := c.prometheus.exemplars(t, `dwell_device_duration_seconds_bucket{dwell_kind="hypervisor"}`)
		received := read(t, c.traces)
		for _, id := range ids {
			if id != "" && strings.Contains(received, fmt.Sprintf(`"traceId":%q`, id)) {
				return ""
			}
		}
		return fmt.Sprintf("%d exemplars, %d bytes of traces", len(ids), len(received))
	})
}

// startChain starts everything and waits until pings flow through it all.
func startChain(t *testing.T) *chain {
	t.Helper()
	collector, dwell := otelcoltest.Binary(t), buildDwell(t)
	c := &chain{place: newPlace(t), traces: filepath.Join(t.TempDir(), "traces.jsonl")}
	c.lab = upLab(t)
	var err error
	if c.hypervisor, err = c.lab.Open(lab.Hypervisor); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.hypervisor.Close() })
	c.prometheus, c.direct = prometheus{c.place, "http://" + atPrometheus}, prometheus{c.place, "http://" + atDirect}
	c.webhook = c.place.webhook(t, atWebhook)

	dir := t.TempDir()
	config := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, []byte(text))
		return path
	}
	writeRules(t, dir)
	start := func(name, ready, program string, args ...string) {
		c.processes = append(c.processes, c.start(t, name, program, args...))
		await(t, name+" to be ready", c.processes, func() string {
			if _, err := c.get(t, "http://"+ready); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	start("alertmanager", atAlertmanager+"/-/ready", program(t, "prometheus-alertmanager", "alertmanager"),
		"--config.file="+config("alertmanager.yml", string(alertmanagerConfig(t))), "--storage.path="+t.TempDir(),
		"--web.listen-address="+atAlertmanager, "--cluster.listen-address=")
	start("collector", atCollector+"/metrics", collector,
		"--config", config("readme.yaml", readmeConfig(t)), "--config", config("collector.yaml", collectorConfig(c.traces)))
	start("prometheus", atPrometheus+"/-/ready", program(t, "prometheus"),
		"--config.file="+config("prometheus.yml", prometheusConfig()), "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+atPrometheus, "--enable-feature=exemplar-storage")
	start("agent", atAgent+"/readyz", dwell, "agent", "--config", config("dwell.yaml", agentConfig(t, c.lab)))
	start("prometheus-direct", atDirect+"/-/ready", program(t, "prometheus"),
		"--config.file="+config("direct.yml", scrapeConfig(atAgent)), "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+atDirect, "--enable-feature=native-histograms")
	keepPinging(t, c.lab)
	return c
}

func upLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Up(t.Context(), "bridge", lab.Options{Prefix: fmt.Sprintf("dwal%d", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// keepPinging pings through the lab until the test ends: often enough for a p99 in the
// rules' shortest range.
func keepPinging(t *testing.T, l *lab.Lab) {
	t.Helper()
	guest, err := l.Open(lab.Guest)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := pinger.Run(ctx, pinger.Config{NetNS: guest, Target: l.Target(false), Interval: 20 * time.Millisecond})
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("pinging: %v", err)
		}
		guest.Close()
	})
}

// buildDwell builds the program as it is now, with the flags of `make build`: those of
// another build would compile all that it depends on anew.
func buildDwell(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dwell")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", path, root+"/cmd/dwell")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
