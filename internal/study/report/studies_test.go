// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// table returns the one whose title begins so.
func table(t *testing.T, r *bench.Result, title string) report.Table {
	t.Helper()
	for _, table := range report.Tables(r) {
		if strings.HasPrefix(table.Title, title) {
			return table
		}
	}
	t.Fatalf("no table %q", title)
	return report.Table{}
}

// source reads a file of the paper's figures, without its heads.
func source(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("paper/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines[1:]
}

// studied is a result that has the paper's modes, in which the nth row of a kind takes
// as many microseconds as its place in the list.
func studied() *bench.Result {
	r := &bench.Result{Version: bench.Version}
	for _, name := range []string{"routed", "vxlan-bridged", "nat", "vxlan", "bridge-namespaces", "bridge"} {
		d := bench.Direction{Name: bench.Request, Whole: bench.Row{Figures: bench.Figures{Count: 1}}}
		for i, kind := range []string{"transmit", "link", "device", "bridge", "link", "device", "bridge", "link", "device", "hypervisor", "link", "hypervisor"} {
			us := int64(i + 1)
			d.Rows = append(
				d.Rows,
				bench.Row{Kind: kind, Name: fmt.Sprint(kind, " ", us), Role: "r", Figures: bench.Figures{Count: 1, Mean: float64(us * 1000), P50: us * 1000}},
				bench.Row{Kind: kind, Name: "inner", Depth: 1, Figures: bench.Figures{Count: 1, Mean: 1, P50: 1}},
			)
		}
		reply := d
		reply.Name = bench.Reply
		r.Modes = append(r.Modes, bench.Mode{Name: name, Directions: []bench.Direction{reply, d}})
	}
	return r
}

// Each row of the paper's tables stands beside what measures the same here, with the
// mean over its ten batches.
func TestPaperTable(t *testing.T) {
	means := map[string]float64{}
	for _, l := range source(t, "tables.csv") {
		means[l[0]+l[1]] += figure(t, l[4]) / 10
	}
	link1, device1, link2, hypervisor := "link 2", "device 3", "link 5", "hypervisor 10"
	want := map[string][]string{
		"bridge-namespaces": {"bridge1", link1, "bridge2", device1, "bridge3", link2, "bridge4", hypervisor},
		"nat":               {"nat1", link1, "nat2", "bridge 4", "nat3", "–", "nat4", hypervisor},
		"routed":            {"routed1", link1, "routed2", device1, "routed3", link2, "routed4", hypervisor},
		"vxlan":             {"tunnel1", link1, "tunnel2", device1, "tunnel3", link2},
	}
	rows := map[string][]string{}
	for _, row := range table(t, studied(), "The paper's figures").Rows {
		mode, as := row.Cells[0], row.Cells[2]
		paper := want[mode][len(rows[mode])]
		rows[mode] = append(rows[mode], paper, as)
		here, ratio := "", ""
		if _, us, ok := strings.Cut(as, " "); ok {
			here, ratio = us+".000", fmt.Sprintf("%.1f", means[paper]/figure(t, us))
		}
		if !near(figure(t, row.Cells[4]), means[paper], 0.0011) || row.Cells[5] != here || row.Cells[6] != ratio {
			t.Errorf("%s: %q, want %v, %s and %s", mode, row.Cells, means[paper], here, ratio)
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Each interval that the paper printed stands beside our median of the same.
func TestIntervalTable(t *testing.T) {
	want := map[string][]string{
		"bridge-namespaces": {"link 2", "device 3", "link 5", "hypervisor 10"},
		"routed":            {"link 2", "device 3", "link 5", "hypervisor 10"},
		"vxlan-bridged":     {"link 2", "device 3", "device 9", "link 11"},
	}
	printed := source(t, "intervals.csv")
	rows := map[string][]string{}
	for i, row := range table(t, studied(), "The single pings").Rows {
		rows[row.Cells[0]] = append(rows[row.Cells[0]], row.Cells[3])
		_, us, _ := strings.Cut(row.Cells[3], " ")
		l := printed[i]
		paper := figure(t, l[4]) / 1000
		cells := []string{l[2], l[3], row.Cells[3], fmt.Sprintf("%.3f", paper), us + ".000", fmt.Sprintf("%.1f", paper/figure(t, us))}
		if !slices.Equal(row.Cells[1:], cells) {
			t.Errorf("%q, want %q", row.Cells[1:], cells)
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What was not measured, or took no time, is not compared.
func TestNothingToCompare(t *testing.T) {
	r := studied()
	for i := range r.Modes {
		for j := range r.Modes[i].Directions {
			rows := r.Modes[i].Directions[j].Rows
			for k := range rows {
				rows[k].Mean, rows[k].P50 = 0, 0
			}
		}
	}
	for _, title := range []string{"The paper's figures", "The single pings"} {
		for _, row := range table(t, r, title).Rows {
			if last := row.Cells[len(row.Cells)-1]; last != "" {
				t.Errorf("%s: %q", title, row.Cells)
			}
		}
	}
	r.Modes = []bench.Mode{{Name: "bridge"}, {Name: "nat"}}
	for _, row := range table(t, r, "The paper's figures").Rows {
		if row.Cells[0] != "nat" || row.Cells[2] != "–" || row.Cells[5] != "" || row.Cells[6] != "" {
			t.Errorf("%q", row.Cells)
		}
	}
	for _, table := range report.Tables(r) {
		if strings.HasPrefix(table.Title, "The single pings") {
			t.Error("intervals of modes that were not measured")
		}
	}
}

// Strong are the leaves that make up a tenth or more of the growth.
func TestRuleTable(t *testing.T) {
	row := func(name string, leaf bool, growth float64, counts ...int) bench.RuleRow {
		r := bench.RuleRow{Direction: "request", Path: "request/" + name, Name: name, Leaf: leaf, PerThousand: growth}
		for i, n := range counts {
			r.Figures = append(r.Figures, bench.Figures{Count: n, P50: int64(i+1) * 1500})
		}
		return r
	}
	s := bench.RuleStudy{Mode: "nat", Rules: []int{0, 10, 1000}, Ping: row("ping", false, 1000, 1, 1, 1), RTT: row("rtt", false, -2500, 1, 1, 1), Rows: []bench.RuleRow{
		row("tenth", true, 100, 1, 1, 1), row("less", true, 99.9, 1, 1, 1), row("all", true, 1000, 1, 0, 1), row("tree", false, 1000, 1, 1, 1), row("shrinks", true, -500, 0, 0, 0),
	}}
	got := table(t, &bench.Result{Rules: []bench.RuleStudy{s}}, "Rules in nat")
	heads := []string{}
	for _, h := range got.Heads {
		heads = append(heads, h.Text)
	}
	if want := []string{"direction", "span", "in", "0", "10", "1000", "per 1,000"}; !slices.Equal(heads, want) {
		t.Errorf("heads %q, want %q", heads, want)
	}
	lines := map[string]string{}
	for _, r := range got.Rows {
		lines[r.Cells[1]] = fmt.Sprintf("%t%v", r.Strong, r.Cells[3:])
	}
	want := map[string]string{
		"rtt": "false[1.500 3.000 4.500 -2.500]", "ping": "false[1.500 3.000 4.500 +1.000]", "tenth": "true[1.500 3.000 4.500 +0.100]",
		"less": "false[1.500 3.000 4.500 +0.100]", "all": "true[1.500  4.500 +1.000]", "tree": "false[1.500 3.000 4.500 +1.000]", "shrinks": "false[   -0.500]",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Ping.PerThousand = 0
	for _, r := range table(t, &bench.Result{Rules: []bench.RuleStudy{s}}, "Rules in nat").Rows {
		if r.Strong {
			t.Errorf("%q is strong, though the ping did not grow", r.Cells)
		}
	}
}

// Every figure of a calibration stands in its column: none are swapped.
func TestCalibrationTables(t *testing.T) {
	n := int64(0)
	next := func() bench.Figures {
		n++
		return bench.Figures{Count: 1, P50: n * 1000}
	}
	arms := func() bench.Arms {
		a := bench.Arms{Untraced: next(), Looking: next(), Traced: next()}
		a.Few.Figures, a.Many.Figures = next(), next()
		a.Few.Hooks, a.Many.Hooks = float64(n)+0.1, float64(n)+0.2
		a.PerLook, a.PerEvent, a.Spread, a.PerRecord = float64(n*10+1), float64(n*10+2), float64(n*10+3), float64(n*10+4)
		return a
	}
	r := &bench.Result{Calibration: []bench.Calibration{{Mode: "nat", Paced: arms(), Flood: arms()}}}
	var got [][]string
	for _, title := range []string{"What tracing adds to the round trip", "What tracing adds to an interval"} {
		for _, row := range table(t, r, title).Rows {
			got = append(got, row.Cells)
		}
	}
	want := [][]string{
		{"nat", "at the interval", "5.2", "1.000", "2.000", "3.000", "51", "52", "53"},
		{"nat", "as a flood", "10.2", "6.000", "7.000", "8.000", "101", "102", "103"},
		{"nat", "at the interval", "5.1", "4.000", "5.2", "5.000", "54"},
		{"nat", "as a flood", "10.1", "9.000", "10.2", "10.000", "104"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
