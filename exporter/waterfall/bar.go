// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// scale maps time to columns, in eighths of a column.
type scale struct {
	start, end int64
	columns    int
}

func newScale(t *trace.Trace) scale {
	s := scale{start: t.Root().Start, end: t.Root().End}
	for i := range t.Spans {
		s.start = min(s.start, t.Spans[i].Start)
		s.end = max(s.end, t.Spans[i].End)
	}
	return s
}

const eighths = 8

// at returns the place of a time, from 0 to all eighths.
func (s scale) at(t int64) int {
	total := max(s.end-s.start, 1)
	return int(float64(t-s.start) / float64(total) * float64(s.columns*eighths))
}

// bar draws a span: exact to an eighth of a column at its end, to half a column at
// its start, and never nothing.
func (s scale) bar(start, end int64, g *glyphs) string {
	from := min(s.at(start), s.columns*eighths-1)
	to := min(max(s.at(end), from+1), s.columns*eighths)
	first, last := from/eighths, (to-1)/eighths
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", first))
	if first == last {
		b.WriteString(sliver(from%eighths, to-from, g))
	} else {
		b.WriteString(begin(from%eighths, g))
		b.WriteString(strings.Repeat(g.bar[eighths], last-first-1))
		b.WriteString(g.bar[to-last*eighths])
	}
	b.WriteString(strings.Repeat(" ", s.columns-last-1))
	return b.String()
}

// begin draws the first column of a bar that begins some eighths into it.
func begin(offset int, g *glyphs) string {
	switch {
	case offset <= 2:
		return g.bar[eighths]
	case offset <= 6:
		return g.right
	}
	return g.thinRight
}

// sliver draws a bar within one column.
func sliver(offset, n int, g *glyphs) string {
	switch {
	case offset < eighths/2:
		return g.bar[n]
	case n >= 3:
		return g.right
	}
	return g.thinRight
}

// mark draws an event.
func (s scale) mark(at int64, glyph string) string {
	column := min(max(s.at(at)/eighths, 0), s.columns-1)
	return strings.Repeat(" ", column) + glyph + strings.Repeat(" ", s.columns-column-1)
}
