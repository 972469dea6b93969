// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/bench/benchtest"
	"github.com/dwelltrace/dwell/internal/study/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixed is a result of two modes whose every figure follows from the pings' numbers.
func fixed() *bench.Result {
	begin := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	return &bench.Result{
		Version:  bench.Version,
		Tool:     bench.Tool{Dwell: "v0", Go: "go1", Command: "dwell bench --out report"},
		Machine:  bench.Machine{Kernel: "6.1", Arch: "x86_64", CPU: "Abacus", Cores: 2, Virtual: true, MemoryBytes: 4 << 30, Clocksource: "tsc", Load: "0.10"},
		Protocol: bench.Protocol{Batches: 3, Count: 4, Interval: 10 * time.Millisecond, Warmup: 5},
		Started:  begin, Ended: begin.Add(90 * time.Second),
		Modes: []bench.Mode{
			mode("bridge-namespaces", "bridge in a namespace of its own", benchtest.Way, benchtest.Back),
			mode("vxlan-bridged", "tunnel", tunnelWay, benchtest.Back),
		},
		Rules:       []bench.RuleStudy{rules()},
		Calibration: []bench.Calibration{calibration()},
	}
}

// mode is made of 3 batches of 4 pings, the nth of them n times as long as the first.
func mode(name, summary string, way, back func(int64) []benchtest.Node) bench.Mode {
	c := bench.NewCollector(3, benchtest.Roles())
	for i := range int64(12) {
		tr := benchtest.Trace(7, uint16(i+1), way(1000*(i+1)), back(500*(i+1)))
		c.Add(int(i/4), tr)
		c.AddRTT(int(i/4), time.Duration(tr.Root().Duration())+50*time.Microsecond)
	}
	m := c.Mode()
	m.Name, m.Summary, m.Target = name, summary, "203.0.113.8"
	m.Counts.Sent, m.Counts.Received, m.Counts.Events = 12, 12, 288
	return m
}

func tunnelWay(ns int64) []benchtest.Node {
	return append([]benchtest.Node{
		{Kind: trace.KindEncapsulate, Device: "vxlan0", Peer: "veth0", NetNS: 1, NS: 9 * ns},
		{Kind: trace.KindDevice, Device: "r1", Peer: "r2", NetNS: 2, Children: []benchtest.Node{
			{Kind: trace.KindForward, Device: "r1", NetNS: 2, NS: 6 * ns},
		}},
		{Kind: trace.KindDecapsulate, Device: "veth3", Peer: "vxlan0", NetNS: 3, NS: 8 * ns},
	}, benchtest.Way(ns)[5:]...)
}

func rules() bench.RuleStudy {
	at := func(p50 ...int64) (f []bench.Figures) {
		for _, v := range p50 {
			f = append(f, bench.Figures{Count: 12, Mean: float64(v), P50: v, P99: v, Min: v, Max: v})
		}
		return f
	}
	return bench.RuleStudy{
		Mode: "bridge", Tool: "iptables-restore v1", Example: "-A FORWARD -s 198.18.0.0 -j DROP", Rules: []int{0, 1000},
		Counts: bench.Counts{Sent: 24, Received: 24, Traces: 24, Complete: 24},
		RTT:    bench.RuleRow{Name: "round trip, as the pinger saw it", Figures: at(90000, 120000), PerThousand: 30000},
		Ping:   bench.RuleRow{Name: "ping", Figures: at(60000, 89000), PerThousand: 29000},
		Rows: []bench.RuleRow{
			{Direction: "request", Path: "request", Role: "guest", Figures: at(40000, 69000), PerThousand: 29000},
			{Direction: "request", Path: "request/hypervisor", Name: "hypervisor", Role: "hypervisor", Figures: at(20000, 50000), PerThousand: 30000},
			{Direction: "request", Path: "request/hypervisor/a", Name: "netfilter forward", Role: "hypervisor", Depth: 1, Leaf: true, Figures: at(2000, 32000), PerThousand: 30000},
			{Direction: "request", Path: "request/hypervisor/b", Name: "routing", Role: "hypervisor", Depth: 1, Leaf: true, Figures: at(1000, 900), PerThousand: -100},
		},
	}
}

func calibration() bench.Calibration {
	arms := func(ns int64) bench.Arms {
		f := func(v int64) bench.Figures { return bench.Figures{Count: 12, P50: v} }
		return bench.Arms{
			Untraced: f(ns), Looking: f(ns + 1300), Traced: f(ns + 2600), PerLook: 50, PerEvent: 100, Spread: 20,
			Few: bench.Known{Hooks: 7, Figures: f(ns - 2000)}, Many: bench.Known{Hooks: 26, Figures: f(ns - 1050)}, PerRecord: 50,
		}
	}
	return bench.Calibration{
		Mode: "bridge", Counts: bench.Counts{Sent: 24, Received: 24, Traces: 24, Complete: 24},
		Paced: arms(100000), Flood: arms(12000),
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: run with -update if this is meant (-want +got):\n%s", name, diff)
	}
}

func TestGoldens(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *bench.Result) error{
		"bench.txt":   func(w io.Writer, r *bench.Result) error { return report.Text(w, r, report.TextOptions{}) },
		"narrow.txt":  func(w io.Writer, r *bench.Result) error { return report.Text(w, r, report.TextOptions{Width: 80}) },
		"bench.csv":   report.CSV,
		"bench.md":    report.Markdown,
		"bench.svg":   report.SVG,
		"bench.json":  report.JSON,
		"report.html": report.HTML,
	} {
		var b bytes.Buffer
		if err := write(&b, fixed()); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// A study without modes, and one that went wrong, can be shown too.
func TestEveryFormSaysWhatWentWrong(t *testing.T) {
	r := fixed()
	r.Modes[0].Counts.Received--
	files, err := report.Files(r)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := report.Text(&text, r, report.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	files = append(files, report.File{Name: "text", Data: text.Bytes()})
	for _, f := range files {
		switch f.Name {
		case "bench.csv", "bench.json", "bench.svg", "bench.png": // figures and counts, no judgement
			continue
		}
		if !strings.Contains(string(f.Data), "bridge-namespaces: 1 of 12 pings were not answered") {
			t.Errorf("%s does not say it", f.Name)
		}
	}
	if _, err := report.Files(&bench.Result{Version: bench.Version, Rules: []bench.RuleStudy{rules()}}); err != nil {
		t.Error(err)
	}
}
