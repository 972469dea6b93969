// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// Table is rows of text and figures.
type Table struct {
	Title string
	// Note says what the figures are.
	Note  string
	Heads []Head
	Rows  []TableRow
}

// Head is that of a column.
type Head struct {
	Text string
	// Figure columns are aligned on the right.
	Figure bool
	// Batch columns can be left out where there is little room.
	Batch bool
}

// TableRow is a line of a table.
type TableRow struct {
	Cells []string
	// Depth indents the first cell.
	Depth int
	// Sum rows stand for all above them.
	Sum bool
	// Strong rows are what a reader looks for.
	Strong bool
	// Kind of span, to colour it, or "".
	Kind category
}

// micros writes nanoseconds as microseconds with three digits, so to the nanosecond.
func micros(ns float64) string { return strconv.FormatFloat(ns/1000, 'f', 3, 64) }

func microsOf(ns int64) string { return micros(float64(ns)) }

// ordinal returns "1st", as the paper heads its columns.
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

func words(texts ...string) []Head {
	var heads []Head
	for _, t := range texts {
		heads = append(heads, Head{Text: t})
	}
	return heads
}

func figures(texts ...string) []Head {
	var heads []Head
	for _, t := range texts {
		heads = append(heads, Head{Text: t, Figure: true})
	}
	return heads
}

// summary are the cells that stand behind the batches of a row.
func summary(f bench.Figures) []string {
	return []string{micros(f.Mean), microsOf(f.P50), microsOf(f.P99), micros(f.StdDev)}
}

// summaryHeads are theirs; the shortest and the longest are in the CSV and JSON.
var summaryHeads = []string{"mean", "p50", "p99", "stddev"}

// overview compares the modes.
func overview(r *bench.Result) Table {
	t := Table{
		Title: "Modes", Note: "Microseconds. Round trip: as the pinger saw it. Ping: from the first hook to delivery of the reply.",
		Heads: append(words("mode"), figures("pings", "complete", "round trip p50", "ping mean", "ping p50", "ping p99", "request mean", "reply mean")...),
	}
	for i := range r.Modes {
		m := &r.Modes[i]
		cells := []string{m.Name, strconv.Itoa(m.Counts.Sent), strconv.Itoa(m.Counts.Complete), "", "", "", ""}
		if m.RTT.Count > 0 {
			cells[3] = microsOf(m.RTT.P50)
		}
		if m.Ping.Count > 0 {
			cells[4], cells[5], cells[6] = micros(m.Ping.Mean), microsOf(m.Ping.P50), microsOf(m.Ping.P99)
		}
		for _, name := range []string{bench.Request, bench.Reply} {
			cell := ""
			if d := m.Direction(name); d != nil {
				cell = micros(d.Whole.Mean)
			}
			cells = append(cells, cell)
		}
		t.Rows = append(t.Rows, TableRow{Cells: cells})
	}
	return t
}

// modeTables are the paper's tables of a mode, one a direction.
func modeTables(m *bench.Mode) []Table {
	var tables []Table
	for i := range m.Directions {
		d := &m.Directions[i]
		t := Table{
			Title: m.Name + ": " + d.Name,
			Note:  "Microseconds: the mean of each batch of pings, then the figures over all of them.",
			Heads: words("interface / device", "in"),
		}
		for batch := range m.Ping.Batches {
			t.Heads = append(t.Heads, Head{Text: ordinal(batch + 1), Figure: true, Batch: true})
		}
		t.Heads = append(t.Heads, figures(summaryHeads...)...)
		kinds := categories(d)
		for k, row := range d.Rows {
			t.Rows = append(t.Rows, rowOf(row, row.Name+seldom(row, m), kinds[k]))
		}
		if d.Whole.Count > 0 {
			whole := rowOf(d.Whole, "whole way", "")
			whole.Cells[1], whole.Sum = "", true
			t.Rows = append(t.Rows, whole)
		}
		tables = append(tables, t)
	}
	return tables
}

// seldom marks a row that not every ping has, whose figures are of those that do.
func seldom(row bench.Row, m *bench.Mode) string {
	if row.Count == m.Ping.Count {
		return ""
	}
	return fmt.Sprintf(" (%d of %d pings)", row.Count, m.Ping.Count)
}

func rowOf(row bench.Row, name string, kind category) TableRow {
	cells := []string{name, row.Role}
	for _, b := range row.Batches {
		if b.Count == 0 {
			cells = append(cells, "")
			continue
		}
		cells = append(cells, micros(b.Mean))
	}
	return TableRow{Cells: append(cells, summary(row.Figures)...), Depth: row.Depth, Kind: kind}
}

// Tables returns all tables of a result.
func Tables(r *bench.Result) []Table {
	var tables []Table
	if len(r.Modes) > 0 {
		tables = append(tables, overview(r))
	}
	for i := range r.Modes {
		tables = append(tables, modeTables(&r.Modes[i])...)
	}
	return append(tables, studies(r)...)
}

// studies are the tables besides those of the modes.
func studies(r *bench.Result) []Table {
	tables := fastTables(r)
	for _, s := range r.Rules {
		tables = append(tables, ruleTable(s))
	}
	if len(r.Calibration) > 0 {
		tables = append(tables, calibrationTables(r.Calibration)...)
	}
	if t := paperTable(r); len(t.Rows) > 0 {
		tables = append(tables, t)
	}
	if t := intervalTable(r); len(t.Rows) > 0 {
		tables = append(tables, t)
	}
	return tables
}
