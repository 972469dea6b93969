// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// evil are names with what has a meaning in one of the forms. The kernel allows all of
// them as names of devices.
func evil() []string {
	return []string{
		"</title><script>alert(1)</script>", `"quoted"`, "it's", "a|b", "*bold*", "_low_", "`code`", `back\slash`, `end\`,
		"&lt;b&gt;", "&amp;", "<!--", "]]>", "a,b", "=1+1", "[x](y)", "#1", "- x", "日本", "é", "{{.}}", "%s%d", "${x}", "",
	}
}

// render returns one form of a report.
func render(t rapid.TB, write func(io.Writer, *bench.Result) error, r *bench.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// anyResult draws a study of some modes, whose devices may have any name and whose
// figures may be anything from nothing to hours.
func anyResult(t *rapid.T) *bench.Result {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &bench.Result{
		Version:  bench.Version,
		Tool:     bench.Tool{Dwell: "v1", Go: "go1", Command: word(t, "command")},
		Machine:  bench.Machine{Kernel: "6.1", Arch: "x86_64", CPU: word(t, "cpu"), Cores: 2, MemoryBytes: 1 << 30},
		Protocol: bench.Protocol{Batches: rapid.IntRange(1, 11).Draw(t, "batches"), Count: 4, Interval: time.Millisecond},
		Started:  begin, Ended: begin.Add(time.Minute),
	}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"bridge-namespaces", "routed", "nat", "vxlan", "vxlan-bridged"}), 0, 4, rapid.ID[string]).Draw(t, "modes")
	for _, name := range names {
		r.Modes = append(r.Modes, anyMode(t, name, r.Protocol.Batches))
	}
	if ns := longest(r); ns > 0 && ns < 1 {
		t.Skip("shorter than what a clock shows")
	}
	return r
}

func anyMode(t *rapid.T, name string, batches int) bench.Mode {
	m := bench.Mode{
		Name: name, Summary: word(t, "summary"), Target: "203.0.113.8",
		Counts: bench.Counts{Sent: 44, Received: 44, Traces: 44, Complete: rapid.IntRange(1, 44).Draw(t, "complete"), Events: 99},
		RTT:    anyRow(t, batches, 0), Ping: anyRow(t, batches, 0),
	}
	for _, direction := range []string{bench.Request, bench.Between, bench.Reply} {
		if !rapid.Bool().Draw(t, direction) {
			continue
		}
		d := bench.Direction{Name: direction}
		if direction != bench.Between {
			d.Whole = anyRow(t, batches, 0)
		}
		for depth := range slices.Values(rapid.SliceOfN(rapid.IntRange(0, 2), 1, 6).Draw(t, "depths")) {
			if len(d.Rows) == 0 {
				depth = 0
			}
			d.Rows = append(d.Rows, anyRow(t, batches, depth))
		}
		m.Directions = append(m.Directions, d)
	}
	return m
}

func anyRow(t *rapid.T, batches, depth int) bench.Row {
	row := bench.Row{
		Kind: rapid.SampledFrom([]string{"transmit", "link", "device", "bridge", "hypervisor", "forward", "driver", "deliver", "beyond"}).Draw(t, "kind"),
		Name: word(t, "name"), Role: word(t, "role"), Depth: depth, Figures: anyFigures(t),
	}
	for i := range batches {
		label := fmt.Sprint("batch ", i)
		row.Batches = append(row.Batches, bench.Batch{Count: rapid.IntRange(0, 9).Draw(t, label), Mean: anyMean().Draw(t, label)})
	}
	return row
}

func anyFigures(t *rapid.T) bench.Figures {
	ns := rapid.OneOf(rapid.Int64Range(0, 100_000), rapid.Int64Range(0, int64(time.Hour)))
	return bench.Figures{
		Count: rapid.IntRange(1, 44).Draw(t, "count"), Mean: anyMean().Draw(t, "mean"), P50: ns.Draw(t, "p50"), P99: ns.Draw(t, "p99"),
		StdDev: anyMean().Draw(t, "stddev"), Min: ns.Draw(t, "min"), Max: ns.Draw(t, "max"),
	}
}

// anyMean draws means of durations in nanoseconds, up to a second or to an hour.
func anyMean() *rapid.Generator[float64] {
	return rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1, 1e6), rapid.Float64Range(1, 1e9), rapid.Float64Range(1, 3.6e12))
}

func word(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"veth0", "link a -> b", "hypervisor"}), rapid.SampledFrom(evil())).Draw(t, label)
}

// micros writes nanoseconds as the tables do.
func micros(ns float64) string { return fmt.Sprintf("%.3f", ns/1000) }
