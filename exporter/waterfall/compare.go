// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// Compare writes where two pings of one way spent their time, side by side, and what the second saved
// at each place: that which it did not pass, all of the time that it took the first. It is
// written in a single call of w.Write, whose error it returns.
func Compare(w io.Writer, slow, fast View, o Options) error {
	c := comparison{glyphs: o.glyphs(), o: o, paint: painter{on: o.Color}}
	c.add(slow.Trace, fast.Trace, trace.Request)
	c.add(slow.Trace, fast.Trace, trace.Reply)
	before, okBefore := slow.Trace.RTT()
	after, okAfter := fast.Trace.RTT()
	if !okBefore || !okAfter {
		return fmt.Errorf("compare two pings: one of them has no reply")
	}
	c.rows = append(c.rows, compared{name: "round trip", slow: before, fast: after, passes: true, bold: true})
	c.draw(slow.Head, fast.Head)
	_, err := w.Write(c.out.Bytes())
	return err
}

// compared is a line: a place, and the time spent there by each ping.
type compared struct {
	name       string
	slow, fast int64
	// passes is set if the second ping was there, too.
	passes, bold bool
}

type comparison struct {
	*glyphs
	o     Options
	paint painter
	out   bytes.Buffer
	rows  []compared
}

// add adds the places of both pings' first journeys in one direction. A place that only the second
// has stands where it was there.
func (c *comparison) add(slow, fast *trace.Trace, d trace.Direction) {
	a, b := placesOf(slow, d), placesOf(fast, d)
	if len(a) == 0 || len(b) == 0 {
		return
	}
	head := compared{name: "echo " + d.String(), passes: true, bold: true}
	for _, p := range a {
		head.slow += p.slow
	}
	for _, p := range b {
		head.fast += p.slow
	}
	c.rows = append(c.rows, head)
	for _, p := range a {
		p.name = "  " + p.name
		for i := range b {
			if "  "+b[i].name == p.name {
				for _, only := range b[:i] {
					c.rows = append(c.rows, compared{name: "  " + only.name, fast: only.slow, passes: true})
				}
				p.fast, p.passes = b[i].slow, true
				b = b[i+1:]
				break
			}
		}
		c.rows = append(c.rows, p)
	}
	for _, only := range b {
		c.rows = append(c.rows, compared{name: "  " + only.name, fast: only.slow, passes: true})
	}
}

// placesOf returns the places of the first journey in a direction, in their order.
func placesOf(t *trace.Trace, d trace.Direction) (all []compared) {
	for j := 1; j < len(t.Spans); j = t.After(j) {
		if !t.Spans[j].Kind.Journey() || t.Spans[j].Direction != d {
			continue
		}
		for i := j + 1; i < t.After(j); i = t.After(i) {
			all = append(all, compared{name: t.Spans[i].Name(), slow: t.Spans[i].Duration()})
		}
		return all
	}
	return nil
}

// draw draws the table.
func (c *comparison) draw(slow, fast string) {
	const passed = "not passed"
	widths := [4]int{text.Width("SPAN"), text.Width(slow), max(text.Width(fast), len(passed)), text.Width("SAVED")}
	lines := make([][4]string, len(c.rows))
	for i, r := range c.rows {
		lines[i] = [4]string{c.clean(r.name), text.Nanoseconds(r.slow, c.micro), text.Nanoseconds(r.fast, c.micro), text.Nanoseconds(r.slow-r.fast, c.micro)}
		if !r.passes {
			lines[i][2] = passed
		}
		for k, cell := range lines[i] {
			widths[k] = max(widths[k], text.Width(cell))
		}
	}
	rest := 3*len(gap) + widths[1] + widths[2] + widths[3]
	widths[0] = max(leastName, min(widths[0], c.o.width()-rest))
	c.line([4]string{"SPAN", c.clean(slow), c.clean(fast), "SAVED"}, widths, dim)
	c.line([4]string{strings.Repeat(c.rule, widths[0]+rest)}, [4]int{widths[0] + rest}, dim)
	for i, cells := range lines {
		style := plain
		if c.rows[i].bold {
			style = bold
		}
		c.line(cells, widths, style)
	}
}

func (c *comparison) clean(s string) string {
	s = text.Clean(s)
	if c.o.ASCII {
		s = text.ASCII(s)
	}
	return s
}

func (c *comparison) line(cells [4]string, widths [4]int, st style) {
	line := text.Left(cells[0], widths[0], c.ellipsis)
	for k := 1; k < len(cells); k++ {
		if widths[k] > 0 {
			line += gap + text.Right(cells[k], widths[k])
		}
	}
	c.out.WriteString(c.paint.apply(strings.TrimRight(line, " "), st) + "\n")
}
