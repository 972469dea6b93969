// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dwelltrace/dwell/internal/study/bench"
)

// TextOptions of the text. The zero value suits a pipe.
type TextOptions struct {
	// Width in columns, or 0 for as many as it takes. Where a table is wider, its
	// batches are left out, and a line says so.
	Width int
}

// Text writes the tables in a single call of w.Write. The error is that of the writer.
func Text(w io.Writer, r *bench.Result, o TextOptions) error {
	var b bytes.Buffer
	for i, t := range Tables(r) {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeTable(&b, t, o.Width)
	}
	for _, trouble := range r.Troubles() {
		b.WriteString("\nTROUBLE " + trouble + "\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeTable(b *bytes.Buffer, t Table, width int) {
	widths := columnWidths(t)
	left := ""
	if total := sumOf(widths) + 2*(len(widths)-1); width > 0 && total > width {
		if n := len(t.Heads); t.drop(func(h Head) bool { return h.Batch }) {
			left = fmt.Sprintf("(%d batches left out: they need %d columns)", n-len(t.Heads), total)
			widths = columnWidths(t)
		}
	}
	b.WriteString(t.Title + "\n")
	heads := make([]string, len(t.Heads))
	for i, h := range t.Heads {
		heads[i] = h.Text
	}
	writeLine(b, t.Heads, widths, heads)
	rule := strings.Repeat("─", sumOf(widths)+2*(len(widths)-1)) + "\n"
	b.WriteString(rule)
	for _, row := range t.Rows {
		if row.Sum {
			b.WriteString(rule)
		}
		writeLine(b, t.Heads, widths, row.indented(t.Heads))
	}
	if left != "" {
		b.WriteString(left + "\n")
	}
}

// drop removes columns and reports whether there were any.
func (t *Table) drop(out func(Head) bool) bool {
	var heads []Head
	rows := make([]TableRow, len(t.Rows))
	for r := range t.Rows {
		rows[r] = t.Rows[r]
		rows[r].Cells = nil
	}
	for i, h := range t.Heads {
		if out(h) {
			continue
		}
		heads = append(heads, h)
		for r := range rows {
			rows[r].Cells = append(rows[r].Cells, t.Rows[r].Cells[i])
		}
	}
	dropped := len(heads) < len(t.Heads)
	t.Heads, t.Rows = heads, rows
	return dropped
}

// indented returns the cells with the name of the span moved to its depth.
func (r TableRow) indented(heads []Head) []string {
	if r.Depth == 0 {
		return r.Cells
	}
	cells := append([]string(nil), r.Cells...)
	at := spanColumn(heads)
	cells[at] = strings.Repeat("  ", r.Depth) + cells[at]
	return cells
}

// spanColumn is the one that is indented.
func spanColumn(heads []Head) int {
	for i, h := range heads {
		if h.Text == "span" {
			return i
		}
	}
	return 0
}

func columnWidths(t Table) []int {
	widths := make([]int, len(t.Heads))
	for i, h := range t.Heads {
		widths[i] = utf8.RuneCountInString(h.Text)
	}
	for _, row := range t.Rows {
		for i, c := range row.indented(t.Heads) {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	return widths
}

func writeLine(b *bytes.Buffer, heads []Head, widths []int, cells []string) {
	var line strings.Builder
	for i, c := range cells {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
		if i > 0 {
			line.WriteString("  ")
		}
		if heads[i].Figure {
			line.WriteString(pad + c)
		} else {
			line.WriteString(c + pad)
		}
	}
	b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

func sumOf(n []int) (sum int) {
	for _, v := range n {
		sum += v
	}
	return sum
}
