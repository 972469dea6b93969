// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// factsOf returns how a study was measured, as the page says it.
func factsOf(t *testing.T, r *bench.Result) map[string]string {
	t.Helper()
	list := elements(readPage(t, render(t, report.HTML, r)), "dl")[0]
	names, values := elements(list, "dt"), elements(list, "dd")
	facts := map[string]string{}
	for i, n := range names {
		facts[inner(n)] = inner(values[i])
	}
	return facts
}

func TestFacts(t *testing.T) {
	begin := time.Date(2026, 3, 14, 23, 9, 26, 535e6, time.FixedZone("", 3600))
	r := &bench.Result{
		Tool:     bench.Tool{Dwell: "v1", Go: "go1.2", Command: "dwell bench -a b"},
		Machine:  bench.Machine{Kernel: "6.1.0", Arch: "arm64", CPU: "Abacus", Cores: 7, Virtual: true, MemoryBytes: 3 << 29, Clocksource: "tsc", Load: "0.5"},
		Protocol: bench.Protocol{Batches: 3, Count: 4, Interval: 20 * time.Millisecond, Warmup: 5, IPv6: true},
		Started:  begin, Ended: begin.Add(61*time.Second + 600*time.Millisecond),
	}
	want := map[string]string{
		"protocol": "3 batches of 4 pings, one every 20ms, IPv6, after 5 to warm up",
		"begun":    "2026-03-14 22:09:26 UTC, took 1m2s",
		"machine":  "7 × Abacus (arm64), a virtual machine",
		"memory":   "1.5 GiB", "kernel": "6.1.0", "clock source": "tsc", "load before": "0.5",
		"command": "dwell bench -a b", "versions": "dwell v1, go1.2",
	}
	if diff := cmp.Diff(want, factsOf(t, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r.Protocol.IPv6 = false
	r.Machine = bench.Machine{Cores: 1, Arch: "riscv64"}
	got := factsOf(t, r)
	for name, part := range map[string]string{"protocol": "IPv4", "machine": "1 × unknown (riscv64)", "clock source": "unknown", "load before": "unknown", "memory": "0.0 GiB"} {
		if !strings.Contains(got[name], part) {
			t.Errorf("%s: %q, want %q", name, got[name], part)
		}
	}
	if strings.Contains(got["machine"], "virtual") {
		t.Errorf("machine: %q", got["machine"])
	}
}

// Markdown begins with the same facts.
func TestMarkdownHasTheFacts(t *testing.T) {
	r := fixed()
	facts := map[string]string{}
	for line := range strings.Lines(render(t, report.Markdown, r)) {
		if fact, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "- "); ok {
			name, value, _ := strings.Cut(fact, ": ")
			facts[name] = plainMarkdown(value)
		}
	}
	if diff := cmp.Diff(factsOf(t, r), facts); diff != "" {
		t.Errorf("(-HTML +Markdown):\n%s", diff)
	}
}

// A line end in an argument does not end the line of the list, and no argument is markup.
func TestMarkdownOfACommand(t *testing.T) {
	r := fixed()
	r.Tool.Command = "dwell bench --out 'a\r\n- b' *c* ~~d~~ [e](f)"
	want := `- command: dwell bench --out 'a  - b' \*c\* \~\~d\~\~ \[e](f)`
	if text := render(t, report.Markdown, r); !strings.Contains(text, "\n"+want+"\n") {
		t.Errorf("no line %s in\n%s", want, text)
	}
}

// What became of a mode's pings stands below its name, with the reason if its chains
// were not timed.
func TestOutcome(t *testing.T) {
	r := fixed()
	r.Modes[1].Counts = bench.Counts{Sent: 12, Received: 12, Traces: 12, Complete: 11, Events: 288, EventsLost: 3, WithoutNetfilter: "Linux 5.15"}
	page := readPage(t, render(t, report.HTML, r))
	var outcomes []string
	for _, section := range elements(page, "section")[:2] {
		outcomes = append(outcomes, inner(classed(section, "span", "faint")[0]))
	}
	for i, parts := range [][]string{
		{"12 pings to 203.0.113.8, 12 traced completely, 288 events, 0 lost."},
		{"12 pings to 203.0.113.8, 11 traced completely, 288 events, 3 lost", "not timed: Linux 5.15."},
	} {
		for _, part := range parts {
			if !strings.Contains(outcomes[i], part) {
				t.Errorf("%q does not say %q", outcomes[i], part)
			}
		}
	}
	if strings.Contains(outcomes[0], "not timed") {
		t.Errorf("%q", outcomes[0])
	}
}
