// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// Options of the text. The zero value is UTF-8.
type Options struct {
	// ASCII writes ASCII characters only.
	ASCII bool
}

// columns of the text; the first left-aligned ones are words, the others figures.
var heads = []string{"DIRECTION", "SPAN", "SERVICE", "COUNT", "MEAN", "P50", "P99"}

const words = 3

// Write writes the table in a single call of w.Write, rows in the order of the path.
// The error is that of the writer.
func (t *Table) Write(w io.Writer, o Options) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b bytes.Buffer
	rows := [][]string{heads}
	for _, r := range t.rows {
		rows = append(rows, r.cells(o))
	}
	writeRows(&b, rows)
	t.writeNotes(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (r *row) cells(o Options) []string {
	micro, clean := "µs", text.Clean
	if o.ASCII {
		micro, clean = "us", func(s string) string { return text.ASCII(text.Clean(s)) }
	}
	q := r.dwell.quantiles(0.50, 0.99)
	return []string{
		r.direction.String(),
		strings.Repeat("  ", int(r.depth)) + clean(r.name),
		clean(r.service),
		strconv.FormatInt(r.dwell.count, 10),
		text.Nanoseconds(r.dwell.mean(), micro),
		text.Nanoseconds(q[0], micro),
		text.Nanoseconds(q[1], micro),
	}
}

func writeRows(b *bytes.Buffer, rows [][]string) {
	widths := make([]int, len(heads))
	for _, cells := range rows {
		for i, c := range cells {
			widths[i] = max(widths[i], text.Width(c))
		}
	}
	for _, cells := range rows {
		line := make([]string, len(cells))
		for i, c := range cells {
			if i < words {
				line[i] = text.Left(c, widths[i], "")
			} else {
				line[i] = text.Right(c, widths[i])
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(line, "  "), " ") + "\n")
	}
}

// writeNotes says what the figures leave out.
func (t *Table) writeNotes(b *bytes.Buffer) {
	if t.incomplete > 0 {
		fmt.Fprintf(b, "not counted because incomplete: %d of the pings\n", t.incomplete)
	}
	for _, r := range t.rows {
		if !r.dwell.exact() {
			fmt.Fprintf(b, "p50 and p99 are of a random sample of %d where COUNT is larger\n", t.samples)
			return
		}
	}
}
