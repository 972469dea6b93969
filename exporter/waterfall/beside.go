// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// View is a trace as somebody sees it.
type View struct {
	// Head says who.
	Head  string
	Trace *trace.Trace
}

// leastSide is the width of a drawing that is worth having beside another one.
const leastSide = 76

// Beside draws two views of one ping in a single call of w.Write: beside each other if the
// width allows, else one below the other. Beside each other, what both views show stands on
// one line, and a gap in one of them is what it does not show. The error is that of the
// writer.
func Beside(w io.Writer, left, right View, o Options) error {
	if len(left.Trace.Spans) == 0 || len(right.Trace.Spans) == 0 {
		return nil
	}
	l, r := newSide(left, o, nil), newSide(right, o, nil)
	between := " " + strings.TrimRight(l.d.pipe, " ") + " "
	if side := (o.width() - text.Width(between)) / 2; side >= leastSide {
		o.Width = side
		l = newSide(left, o, nil)
		// A service has one colour in both.
		r = newSide(right, o, l.d.paint.services)
		return beside(w, l, r, between)
	}
	var out bytes.Buffer
	for i, s := range []*side{l, r} {
		if i > 0 {
			out.WriteByte('\n')
		}
		for _, line := range append(s.title(), s.rows()...) {
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// side is a drawing whose lines are taken one by one.
type side struct {
	head  string
	d     *drawing
	width int
}

func newSide(v View, o Options, services []string) *side {
	d := newDrawing(v.Trace, o)
	d.paint.services = append(d.paint.services, services...)
	for _, r := range d.rows {
		if !r.event {
			d.paint.service(r.service)
		}
	}
	return &side{head: d.clean(v.Head), d: d, width: o.width()}
}

// title returns the lines above the rows.
func (s *side) title() []string {
	s.d.put(s.head, bold)
	s.d.endLine()
	s.d.title()
	s.d.columnHeads()
	return s.take()
}

// rows returns the lines of the rows.
func (s *side) rows() []string {
	for _, r := range s.d.rows {
		s.d.row(r)
	}
	return s.take()
}

// take returns the lines drawn so far, and forgets them.
func (s *side) take() []string {
	all := strings.TrimSuffix(s.d.out.String(), "\n")
	s.d.out.Reset()
	return strings.Split(all, "\n")
}

// fill makes the line as wide as the side.
func (s *side) fill(line string) string {
	width := text.Width(unpainted(line))
	if width > s.width {
		return text.Left(unpainted(line), s.width, s.d.ellipsis)
	}
	return line + strings.Repeat(" ", s.width-width)
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func unpainted(line string) string { return escape.ReplaceAllString(line, "") }

func beside(w io.Writer, l, r *side, between string) error {
	var out bytes.Buffer
	write := func(left, right string) {
		out.WriteString(strings.TrimRight(l.fill(left)+between+strings.TrimRight(r.fill(right), " "), " "))
		out.WriteByte('\n')
	}
	titles, rights := l.title(), r.title()
	for i := range titles {
		write(titles[i], rights[i])
	}
	lefts, rights := l.rows(), r.rows()
	line := func(lines []string, i int) string {
		if i < 0 {
			return ""
		}
		return lines[i]
	}
	for _, p := range pairs(l.d.rows, r.d.rows) {
		write(line(lefts, p[0]), line(rights, p[1]))
	}
	_, err := w.Write(out.Bytes())
	return err
}

// pairs puts the rows of two drawings side by side, by their indexes; -1 is a gap. Rows of the
// same time stand together, as many as can without changing the order. Between those, rows
// stand together as they come.
func pairs(left, right []row) [][2]int {
	var all [][2]int
	from := [2]int{}
	gap := func(to [2]int) {
		for i := range max(to[0]-from[0], to[1]-from[1]) {
			p := [2]int{-1, -1}
			for s := range p {
				if from[s]+i < to[s] {
					p[s] = from[s] + i
				}
			}
			all = append(all, p)
		}
	}
	for _, same := range common(left, right) {
		gap(same)
		all = append(all, same)
		from = [2]int{same[0] + 1, same[1] + 1}
	}
	gap([2]int{len(left), len(right)})
	return all
}

// common returns a longest common subsequence of the rows.
func common(left, right []row) [][2]int {
	// longest[i][j] is the length of that of left[i:] and right[j:].
	longest := make([][]int, len(left)+1)
	for i := range longest {
		longest[i] = make([]int, len(right)+1)
	}
	for i := len(left) - 1; i >= 0; i-- {
		for j := len(right) - 1; j >= 0; j-- {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if alike(&left[i], &right[j]) {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var same [][2]int
	for i, j := 0, 0; i < len(left) && j < len(right); {
		switch {
		case alike(&left[i], &right[j]):
			same = append(same, [2]int{i, j})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return same
}

// alike reports whether two rows are of the same span or event. Of a span, one view may not show
// how it begins or ends, or hide the name.
func alike(a, b *row) bool {
	if a.event != b.event || a.follows != b.follows {
		return false
	}
	begin, end := a.start == b.start, a.end == b.end
	return begin && end || (begin || end) && a.name == b.name
}
