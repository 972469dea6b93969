// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/internal/study/bench"
	"github.com/dwelltrace/dwell/internal/study/report"
)

// Where a table is wider than asked for, it is the same without its batches, and a line
// says what is left out; where it just fits, it is left alone.
func TestNarrowText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyResult(t)
		width := rapid.IntRange(1, 250).Draw(t, "width")
		var want strings.Builder
		for i, table := range report.Tables(r) {
			if i > 0 {
				want.WriteByte('\n')
			}
			lines := drawn(table)
			needed := 0
			for _, line := range lines[1:] {
				needed = max(needed, utf8.RuneCountInString(line))
			}
			left := ""
			if needed > width {
				lines, left = drawn(withoutBatches(table)), "left out"
			}
			if len(table.Heads) == len(withoutBatches(table).Heads) {
				left = ""
			}
			want.WriteString(strings.Join(lines, "\n") + "\n" + left)
		}
		got := render(t, func(w io.Writer, r *bench.Result) error { return report.Text(w, r, report.TextOptions{Width: width}) }, r)
		if got := withoutNotes(got); got != want.String() {
			t.Errorf("in %d columns\n%s\nwant\n%s", width, got, want.String())
		}
	})
}

func withoutBatches(t report.Table) report.Table {
	narrow := report.Table{Title: t.Title}
	for _, row := range t.Rows {
		row.Cells = nil
		narrow.Rows = append(narrow.Rows, row)
	}
	for i, h := range t.Heads {
		if h.Batch {
			continue
		}
		narrow.Heads = append(narrow.Heads, h)
		for k := range narrow.Rows {
			narrow.Rows[k].Cells = append(narrow.Rows[k].Cells, t.Rows[k].Cells[i])
		}
	}
	return narrow
}

// withoutNotes keeps of the lines about what is left out only that they are there.
func withoutNotes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "(") && strings.Contains(line, "left out") {
			line = "left out"
		}
		b.WriteString(line)
	}
	return b.String()
}

// The line says how many batches and how wide the table is with them.
func TestWhatIsLeftOut(t *testing.T) {
	narrow := func(width int) string {
		return render(t, func(w io.Writer, r *bench.Result) error { return report.Text(w, r, report.TextOptions{Width: width}) }, fixed())
	}
	// The first table of a mode takes 95 columns, 3 of them batches.
	for width, want := range map[int]int{0: 0, 94: 1, 95: 0, 1: 1} {
		if got := strings.Count(narrow(width), "(3 batches left out: they need 95 columns)"); got != want {
			t.Errorf("%d columns: said %d times, want %d", width, got, want)
		}
	}
	if strings.Contains(narrow(94), "1st      2nd      3rd") || !strings.Contains(narrow(95), "1st      2nd      3rd") {
		t.Errorf("in 94 columns:\n%s\nin 95:\n%s", narrow(94), narrow(95))
	}
}

// A row that only some of the pings have says of how many its figures are.
func TestSeldomRows(t *testing.T) {
	r := fixed()
	d := &r.Modes[0].Directions[0]
	d.Rows[0].Count = 5
	d.Rows[1].Batches[1] = bench.Batch{}
	rows := report.Tables(r)[1].Rows
	if got := rows[0].Cells[0]; !strings.HasSuffix(got, " (5 of 12 pings)") {
		t.Errorf("%q", got)
	}
	if got := rows[1].Cells; strings.Contains(got[0], "pings") || got[2] == "" || got[3] != "" || got[4] == "" {
		t.Errorf("%q", got)
	}
}

// Each trouble has a line of its own, below the tables.
func TestTroubles(t *testing.T) {
	r := fixed()
	r.Modes[0].Counts.Received -= 2
	r.Modes[1].Counts.EventsLost = 7
	got := render(t, wide, r)
	tables, troubles, _ := strings.Cut(got, "\nTROUBLE ")
	if want := render(t, wide, fixed()); tables != want {
		t.Errorf("the tables are\n%s\nwant\n%s", tables, want)
	}
	var lines []string
	for _, line := range strings.Split(troubles, "\nTROUBLE ") {
		lines = append(lines, strings.TrimSpace(line))
	}
	if want := r.Troubles(); strings.Join(lines, "|") != strings.Join(want, "|") || len(want) != 2 {
		t.Errorf("troubles %q, want %q", lines, want)
	}
}
