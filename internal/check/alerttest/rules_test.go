// SPDX-License-Identifier: Apache-2.0

package alerttest_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/check/alerttest"
)

func TestPrometheusTakesTheRules(t *testing.T) {
	run(t, program(t, "promtool"), append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles...)...)
}

// The rules' own tests, each file with cases that fire and cases that do not.
func TestRulesFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	run(t, program(t, "promtool"), append([]string{"test", "rules"}, ruleTests(t)...)...)
}

func TestPrometheusTakesTheShortenedRules(t *testing.T) {
	promtool := program(t, "promtool")
	for name, f := range load(t) {
		short, err := f.Shorten(pace)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		write(t, path, []byte(format(t, short)))
		run(t, promtool, "check", "rules", path)
		// Nothing is lost in writing.
		again, err := alerttest.Parse([]byte(read(t, path)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(short, again); diff != "" {
			t.Errorf("%s changed on the way to the file:\n%s", name, diff)
		}
	}
}

func TestAlertmanagerTakesItsConfiguration(t *testing.T) {
	run(t, program(t, "amtool"), "check-config", alertmanager)
}

// Every alert is seen firing, and seen silent, by some test.
func TestEachAlertIsTested(t *testing.T) {
	var tests string
	for _, path := range ruleTests(t) {
		tests += read(t, path)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !strings.Contains(tests, "alertname: "+r.Alert+"\n        exp_alerts:\n") {
			t.Errorf("no test sees %s fire", r.Alert)
		}
		if !strings.Contains(tests, "alertname: "+r.Alert+", exp_alerts: []}") {
			t.Errorf("no test sees %s silent", r.Alert)
		}
	}
}

func TestEachAlertSaysWhatItShould(t *testing.T) {
	severities := []string{"critical", "warning", "info"}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains(severities, r.Labels["severity"]) {
			t.Errorf("%s has severity %q, want one of %q", r.Alert, r.Labels["severity"], severities)
		}
		for _, name := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		for _, label := range []string{"host_name", "network_interface_name", "dwell_tenant_id"} {
			if aggregatedBy(r.Expr, label) && !strings.Contains(r.Annotations["summary"], "$labels."+label) {
				t.Errorf("the summary of %s does not name the %s", r.Alert, label)
			}
		}
	}
}

// A threshold is exact only on a bound of a bucket, and the links show from it on.
func TestThresholdsAreBoundsOfBuckets(t *testing.T) {
	threshold := regexp.MustCompile(`:p99_5m > ([\d.e-]+)`)
	shown := regexp.MustCompile(`(?:minDuration|var-slow)=(\w+)`)
	links := map[string][]float64{}
	lowest := map[string]float64{}
	for _, r := range rules(t) {
		m := threshold.FindStringSubmatch(r.Expr)
		if r.Alert == "" || m == nil {
			continue
		}
		bound, err := strconv.ParseFloat(m[1], 64)
		if err != nil || !slices.Contains(metrics.DefaultBuckets(), bound) {
			t.Errorf("%s fires above %s s, which is no bound of a bucket: %v", r.Alert, m[1], metrics.DefaultBuckets())
		}
		if lowest[r.Alert] == 0 || bound < lowest[r.Alert] {
			lowest[r.Alert] = bound
		}
		for _, link := range []string{r.Annotations["traces"], r.Annotations["dashboard"]} {
			m := shown.FindStringSubmatch(link)
			if m == nil {
				t.Fatalf("%s has a link that does not say from when on a span is slow: %s", r.Alert, link)
			}
			d, err := time.ParseDuration(m[1])
			if err != nil {
				t.Fatal(err)
			}
			links[r.Alert] = append(links[r.Alert], d.Seconds())
		}
	}
	if len(lowest) == 0 {
		t.Fatal("no alert has a threshold")
	}
	for name, all := range links {
		for _, d := range all {
			if d != lowest[name] {
				t.Errorf("%s fires above %g s and links to spans above %g s", name, lowest[name], d)
			}
		}
	}
}

// aggregatedBy says whether the alerts of an expression have the label: those on
// dwell:hypervisor_…, dwell:drops:… and dwell:tenant_… have the labels that these are
// recorded with.
func aggregatedBy(expr, label string) bool {
	device := strings.Contains(expr, "dwell:hypervisor_") || strings.Contains(expr, "dwell:drops:")
	tenant := strings.Contains(expr, "dwell:tenant_") || strings.Contains(expr, "dwell_agent_tenant_")
	return device && label != "dwell_tenant_id" || tenant && label != "network_interface_name" ||
		label == "host_name" && strings.Contains(expr, "by (host_name")
}

func ruleTests(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(root + "/examples/alerts/tests/*.test.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests of the rules: %v", err)
	}
	return paths
}
