// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/bench/benchtest"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// Every form can be made of a study that found nothing, and none of them makes a figure
// up.
func TestNothingFound(t *testing.T) {
	silent := bench.Mode{Name: "silent", Summary: "no answer", Counts: bench.Counts{Sent: 9}}
	for name, r := range map[string]*bench.Result{
		"nothing":         {Version: bench.Version},
		"silent mode":     {Version: bench.Version, Modes: []bench.Mode{silent}},
		"silent modes":    {Version: bench.Version, Modes: []bench.Mode{silent, silent}},
		"empty direction": {Version: bench.Version, Modes: []bench.Mode{{Name: "m", Directions: []bench.Direction{{Name: bench.Request}}}}},
		"empty studies":   {Version: bench.Version, Rules: []bench.RuleStudy{{Mode: "m"}}, Calibration: []bench.Calibration{{Mode: "m"}}},
	} {
		files, err := report.Files(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		files = append(files, report.File{Name: "text", Data: []byte(render(t, wide, r))})
		for _, f := range files {
			for _, wrong := range []string{"NaN", "Inf", "%!", "<nil>", "<no value>"} {
				if f.Name != "bench.png" && strings.Contains(string(f.Data), wrong) {
					t.Errorf("%s: %s has %s", name, f.Name, wrong)
				}
			}
		}
	}
	if got := report.Tables(&bench.Result{}); len(got) > 0 {
		t.Errorf("tables of nothing: %v", got)
	}
	if got := render(t, wide, &bench.Result{}); got != "" {
		t.Errorf("text of nothing: %q", got)
	}
}

// A mode of which no ping came back has no figures: it is not the fastest.
func TestSilentModeHasNoFigures(t *testing.T) {
	r := fixed()
	r.Modes = append(r.Modes, bench.Mode{Name: "silent", Counts: bench.Counts{Sent: 9, Events: 3}})
	overview := report.Tables(r)[0]
	if got, want := overview.Rows[2].Cells, []string{"silent", "9", "0", "", "", "", "", "", ""}; !slices.Equal(got, want) {
		t.Errorf("overview %q, want %q", got, want)
	}
	tiles := headline(t, r)
	for name := range tiles {
		if strings.Contains(name, "silent") {
			t.Errorf("the headline has %q", tiles)
		}
	}
	r.Modes = r.Modes[2:]
	if diff := cmp.Diff(map[string]string{"mode": "silent", "pings traced completely": "0 of 9"}, headline(t, r)); diff != "" {
		t.Errorf("alone (-want +got):\n%s", diff)
	}
	if tiles["modes"] != "3" || tiles["pings traced completely"] != "24 of 33" || tiles["fastest, median ping: vxlan-bridged"] != "240.000 µs" {
		t.Errorf("the headline has %q", tiles)
	}
}

// headline returns the figures at the top of the page.
func headline(t *testing.T, r *bench.Result) map[string]string {
	t.Helper()
	tiles := map[string]string{}
	for _, tile := range classed(readPage(t, render(t, report.HTML, r)), "div", "tile") {
		tiles[inner(elements(tile, "span")[0])] = inner(elements(tile, "b")[0])
	}
	return tiles
}

func TestHeadline(t *testing.T) {
	r := fixed()
	want := map[string]string{
		"modes": "2", "pings traced completely": "24 of 24",
		"fastest, median ping: vxlan-bridged": "240.000 µs", "slowest, median ping: bridge-namespaces": "246.000 µs",
	}
	if diff := cmp.Diff(want, headline(t, r)); diff != "" {
		t.Errorf("two modes (-want +got):\n%s", diff)
	}
	slices.Reverse(r.Modes)
	if diff := cmp.Diff(want, headline(t, r)); diff != "" {
		t.Errorf("the other way round (-want +got):\n%s", diff)
	}
	r.Modes = r.Modes[1:]
	r.Modes[0].Counts.Complete = 11
	want = map[string]string{
		"mode": "bridge-namespaces", "pings traced completely": "11 of 12",
		"ping, median": "246.000 µs", "ping, 99th percentile": "492.000 µs",
	}
	if diff := cmp.Diff(want, headline(t, r)); diff != "" {
		t.Errorf("one mode (-want +got):\n%s", diff)
	}
}

// One ping is a study, too: it is its own mean, median and percentile, and nothing
// varies.
func TestOneSample(t *testing.T) {
	c := bench.NewCollector(1, benchtest.Roles())
	tr := benchtest.Trace(1, 1, benchtest.Way(1000), benchtest.Back(1000))
	c.Add(0, tr)
	c.AddRTT(0, 100*time.Microsecond)
	m := c.Mode()
	m.Name = "nat"
	r := &bench.Result{Version: bench.Version, Modes: []bench.Mode{m}}
	for _, table := range report.Tables(r)[1:3] {
		for _, row := range table.Rows {
			f := row.Cells[len(row.Cells)-5:]
			if f[0] != f[1] || f[1] != f[2] || f[2] != f[3] || f[4] != "0.000" {
				t.Errorf("%s: %q", table.Title, row.Cells)
			}
		}
	}
	us := float64(tr.Root().Duration()) / 1000
	if got := report.Tables(r)[0].Rows[0].Cells[4]; math.Abs(figure(t, got)-us) > 0.0005 {
		t.Errorf("the ping takes %s, want %v", got, us)
	}
}

// The largest figures that there can be are written in full.
func TestHugeFigures(t *testing.T) {
	r := fixed()
	row := &r.Modes[0].Directions[0].Rows[0]
	row.P50, row.P99, row.Mean, row.StdDev = math.MaxInt64, math.MaxInt64-1, 1e18, 0.0004
	row.Max = math.MaxInt64
	cells := report.Tables(r)[1].Rows[0].Cells
	// 2^63 ns are 292 years; a float64 has 53 bits of them.
	if want := []string{"1000000000000000.000", "9223372036854776.000", "9223372036854776.000", "0.000"}; !slices.Equal(cells[len(cells)-4:], want) {
		t.Errorf("%q, want %q", cells, want)
	}
	for _, line := range readCSV(t, render(t, report.CSV, r)) {
		if line["position"] == "1" && line["batch"] == "all" && line["direction"] == "request" && line["mode"] == "bridge-namespaces" &&
			(line["max_ns"] != "9223372036854775807" || line["p99_ns"] != "9223372036854775806") {
			t.Errorf("CSV %v", line)
		}
	}
	if _, err := report.Files(r); err != nil {
		t.Error(err)
	}
}
