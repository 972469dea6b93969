// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
	"github.com/dwelltrace/dwell/internal/probe"
)

// probing runs a daemon whose agent knows the namespaces that there are.
func probing(t *testing.T, text string) *life {
	t.Helper()
	where, err := inventory.New(inventory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(where.Close)
	l := begin(t, text)
	l.agent.namespaces = where
	l.run()
	l.await("READY=1\n")
	return l
}

// line returns the value of a series of /metrics that has all the words, "" if there is none.
func (l *life) line(name string, words ...string) string {
	l.t.Helper()
	_, body := l.get("/metrics")
	for line := range strings.Lines(body) {
		has := strings.HasPrefix(line, name+"{")
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			return strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])
		}
	}
	return ""
}

// awaitProblem waits until something is a problem of a probe that is logged.
func (l *life) awaitProblem(text string) {
	l.t.Helper()
	until(l.t, text, func() bool {
		l.logTroubles()
		l.troublesMu.Lock()
		defer l.troublesMu.Unlock()
		for problem := range l.probeTroubles {
			if strings.Contains(problem, text) {
				return true
			}
		}
		return false
	})
}

// The metrics have a label for each outcome, and no other.
func TestEveryOutcomeHasItsLabel(t *testing.T) {
	var words []string
	for _, o := range probe.Outcomes() {
		words = append(words, o.String())
	}
	if diff := cmp.Diff(metrics.ProbeResults(), words); diff != "" {
		t.Errorf("labels (-of the metric +of the outcomes):\n%s", diff)
	}
}

// Probes are sent from the start on and as a reload says, without one, and their results are
// metrics.
func TestProbesFollowTheConfiguration(t *testing.T) {
	ns := netnstest.WithLoopback(t, "daemon-a").Name()
	text := func(name, target string) string {
		return "probes: [{name: " + name + ", netns: [" + ns + ", nowhere], targets: ['" + target + "'], interval: 100ms}]\n"
	}
	l := probing(t, text("one", "127.0.0.1"))
	until(t, "probe one is answered", func() bool {
		return l.line("dwell_probe_success", `"one"`, ns, `destination_address="127.0.0.1"`, `network_type="ipv4"`) == "1"
	})
	until(t, "what is not there is counted", func() bool { return l.line("dwell_agent_probes_unresolved") == "1" })
	l.reload(text("one", "127.0.0.1") + "log: {level: debug}\n")
	l.awaitProblem("probe one: nowhere: no network namespace matches this reference")
	says(t, l.reload(text("two", "::1")), "changed=\"probes, log.level\"")
	until(t, "probe two is answered", func() bool { return l.line("dwell_probe_success", `"two"`, `network_type="ipv6"`) == "1" })
	if v := l.line("dwell_probe_success", `"one"`); v != "" {
		t.Errorf("probe one is still there, with %s", v)
	}
	says(t, l.reload(strings.Replace(text("two", "::1"), "::1", "example.net", 1)), "old one stays in force", "dwell.yaml:1:", "getent ahosts")
	until(t, "probe two is still answered after a mistake", func() bool { return l.line("dwell_probe_success", `"two"`) == "1" })
	says(t, l.reload(""), "changed=probes")
	until(t, "no probes are left", func() bool { return l.line("dwell_probe_success") == "" && l.line("dwell_agent_probes") == "0" })
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	// Results wait for their traces, which a fake agent has not, and are recorded at the end.
	families, err := l.telemetry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := false
	for _, f := range families {
		counted = counted || f.GetName() == "dwell_probe_duration_seconds" && len(f.Metric) == 2
	}
	if !counted {
		t.Error("round trips of both probes were not counted")
	}
}

// A tenant's probes come and go with its definition, in the configuration or in a file, and are
// not sent from what is not its own.
func TestProbesOfTenants(t *testing.T) {
	ns := netnstest.WithLoopback(t, "daemon-b").Name()
	dir := filepath.Join(t.TempDir(), "tenants.d")
	l := probing(t, "tenancy: {dir: "+dir+"}\n")
	tenantFile(t, dir, "red.yaml", "vms: [x]\nprobes: [{name: p, netns: ["+ns+"], targets: [127.0.0.1], interval: 100ms}]\n")
	l.awaitTenants("red")
	until(t, "red's probe is refused: the namespace is nobody's", func() bool {
		return l.line("dwell_agent_probes_refused", "not_owned") == "1" && l.line("dwell_agent_probes") == "0"
	})
	l.awaitProblem("1 pairs of a network namespace and a target are not probed for a tenant")
	if got := l.stats().Probes; got.Refused["not_owned"] != 1 || len(got.States) > 0 {
		t.Errorf("stats %+v", got)
	}
	if err := os.Remove(filepath.Join(dir, "red.yaml")); err != nil {
		t.Fatal(err)
	}
	until(t, "red's probe is gone", func() bool { return l.line("dwell_agent_probes_refused", "not_owned") == "0" })
}

// What keeps probes from being sent is said, with what to do, and not once for each of very many.
func TestProblemsOfProbes(t *testing.T) {
	s := probe.Stats{OverLimit: 3, NotOwned: 2, Unresolved: []string{"red/web: nowhere"}}
	for i := range 30 {
		s.Problems = append(s.Problems, fmt.Sprint("problem ", i))
	}
	got := probeProblems(s)
	text := strings.Join(got, "\n")
	if len(got) != loggedProblems+3 || strings.Contains(text, "problem 20") {
		t.Errorf("%d problems:\n%s", len(got), text)
	}
	says(t, text, "problem 19", "11 more of the kind", "3 pairs", "probing.max_rate", "raise the limit", "2 pairs", "name only namespaces")
	if len(s.Problems) != 30 || s.Problems[20] != "problem 20" {
		t.Error("the problems were changed")
	}
}
