// SPDX-License-Identifier: Apache-2.0

package report

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/study/bench"
)

// paperData holds the figures of the paper "Using eBPF for Monitoring in Flexible Data
// Path": its tables, ten batches of a hundred pings, and the intervals that it printed
// for single pings.
//
//go:embed paper/tables.csv paper/intervals.csv
var paperData embed.FS

// counterpart says which row of ours measures what a row of the paper does: the nth
// span of a kind in the request. What the paper calls a NAT device is a bridge with an
// address; its second veth pair is nowhere in its listing, and so has no counterpart.
type counterpart struct {
	kind trace.Kind
	nth  int
}

// studied is one of the paper's modes.
type studied struct {
	// name is the paper's, mode ours.
	name, mode string
	rows       []counterpart
}

func paperModes() []studied {
	hop := []counterpart{{trace.KindLink, 1}, {trace.KindDevice, 1}, {trace.KindLink, 2}, {trace.KindHypervisor, 1}}
	return []studied{
		{"bridge", "bridge-namespaces", hop},
		{"nat", "nat", []counterpart{{trace.KindLink, 1}, {trace.KindBridge, 1}, {}, {trace.KindHypervisor, 1}}},
		{"routed", "routed", hop},
		{"tunnel", "vxlan", hop[:3]},
	}
}

// paperRow is a row of one of the paper's tables.
type paperRow struct {
	mode, label string
	position    int
	mean        float64 // µs, of the batches' means
}

// paperRows reads the paper's tables.
func paperRows() ([]paperRow, error) {
	f, err := paperData.Open("paper/tables.csv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the paper's tables: %w", err)
	}
	var rows []paperRow
	var batches float64
	for _, l := range lines[1:] {
		position, err := strconv.Atoi(l[1])
		if err != nil {
			return nil, fmt.Errorf("the paper's tables: %w", err)
		}
		us, err := strconv.ParseFloat(l[4], 64)
		if err != nil {
			return nil, fmt.Errorf("the paper's tables: %w", err)
		}
		if n := len(rows); n == 0 || rows[n-1].mode != l[0] || rows[n-1].position != position {
			rows = append(rows, paperRow{mode: l[0], label: l[2], position: position})
			batches = 0
		}
		last := &rows[len(rows)-1]
		last.mean = (last.mean*batches + us) / (batches + 1)
		batches++
	}
	return rows, nil
}

// paperTable puts the paper's figures beside ours. It has no rows if no mode of the
// paper was measured.
func paperTable(r *bench.Result) Table {
	t := Table{
		Title: "The paper's figures next to ours",
		Note: "Microseconds, mean of the request's span. The paper used a different machine and a different tracer, " +
			"which printed from the kernel: the ratio compares two studies, not two networks.",
		Heads: append(words("mode", "the paper's row", "measured here as", "in"), figures("paper", "here", "paper / here")...),
	}
	rows, err := paperRows()
	if err != nil {
		t.Note = err.Error()
		return t
	}
	for _, s := range paperModes() {
		m := modeNamed(r, s.mode)
		if m == nil {
			continue
		}
		for _, p := range rows {
			if p.mode == s.name {
				t.Rows = append(t.Rows, besides(p, s, m))
			}
		}
	}
	return t
}

func besides(p paperRow, s studied, m *bench.Mode) TableRow {
	cells := []string{s.mode, p.label, "–", "", strconv.FormatFloat(p.mean, 'f', 3, 64), "", ""}
	if row := find(m, s.rows[p.position-1]); row != nil {
		cells[2], cells[3] = row.Name, row.Role
		cells[5], cells[6] = micros(row.Mean), ratio(p.mean*1000, row.Mean)
	}
	return TableRow{Cells: cells}
}

// ratio says how many times the paper's figure is ours; there is no saying for 0.
func ratio(paper, here float64) string {
	if here == 0 {
		return ""
	}
	return strconv.FormatFloat(paper/here, 'f', 1, 64)
}

func modeNamed(r *bench.Result, name string) *bench.Mode {
	for i := range r.Modes {
		if r.Modes[i].Name == name {
			return &r.Modes[i]
		}
	}
	return nil
}

// find returns the row that is a counterpart, or nil.
func find(m *bench.Mode, c counterpart) *bench.Row {
	d := m.Direction(bench.Request)
	if d == nil {
		return nil
	}
	n := 0
	for i := range d.Rows {
		if d.Rows[i].Depth == 0 && d.Rows[i].Kind == c.kind.String() {
			if n++; n == c.nth {
				return &d.Rows[i]
			}
		}
	}
	return nil
}
