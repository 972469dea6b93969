// SPDX-License-Identifier: Apache-2.0

// Package waterfall draws a trace for the terminal: the tree of spans, the place of
// each, a bar on the ping's time, and the dwell to the nanosecond.
package waterfall

import (
	"bytes"
	"io"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// Write draws t in a single call of w.Write. The error is that of the writer.
func Write(w io.Writer, t *trace.Trace, o Options) error {
	if len(t.Spans) == 0 {
		return nil
	}
	d := newDrawing(t, o)
	d.title()
	d.columnHeads()
	for _, r := range d.rows {
		d.row(r)
	}
	_, err := w.Write(d.out.Bytes())
	return err
}

// row is a line of the picture: a span, or an event in one.
type row struct {
	// tree is the part of the name column that draws the tree.
	tree, name string
	service    string
	start, end int64
	// event is set for an event, and for what follows on the line below it.
	event, follows bool
	failed         bool
	dwell          string
}

// drawing is a picture in the making.
type drawing struct {
	t *trace.Trace
	o Options
	*glyphs
	out    bytes.Buffer
	rows   []row
	layout layout
	scale  scale
	paint  painter
}

func newDrawing(t *trace.Trace, o Options) *drawing {
	d := &drawing{t: t, o: o, glyphs: o.glyphs(), paint: painter{on: o.Color}}
	d.scale = newScale(t)
	d.addSpan(0, "", "")
	d.layout = newLayout(o.width(), d.rows)
	d.scale.columns = d.layout.bar
	return d
}

// addSpan adds the rows of a span and all below it. tree leads to the span itself
// and below to what is under it.
func (d *drawing) addSpan(i int, tree, below string) {
	s := &d.t.Spans[i]
	d.rows = append(d.rows, row{
		tree: tree, name: d.clean(d.nameOf(i)), service: d.clean(serviceOf(s)),
		start: s.Start, end: s.End, failed: s.Error != "", dwell: text.Nanoseconds(s.Duration(), d.micro),
	})
	after := d.t.After(i)
	passing := ""
	if after > i+1 {
		passing = d.pipe
	}
	d.addEvents(s, below+passing)
	for child := i + 1; child < after; {
		next := d.t.After(child)
		if next == after {
			d.addSpan(child, below+d.last, below+d.blank)
		} else {
			d.addSpan(child, below+d.branch, below+d.pipe)
		}
		child = next
	}
}

// nameOf returns the name of span i for people. The name of a root is the same for all pings; here
// it says which one it is.
func (d *drawing) nameOf(i int) string {
	s := &d.t.Spans[i]
	if s.Kind == trace.KindPing && s.Title == "" {
		return d.t.Ping.String()
	}
	return s.Name()
}

func serviceOf(s *trace.Span) string {
	if s.NetNS == nil {
		return ""
	}
	return s.NetNS.Name
}

func (d *drawing) clean(s string) string {
	s = text.Clean(s)
	if d.o.ASCII {
		s = text.ASCII(s)
	}
	return s
}

// row writes one line.
func (d *drawing) row(r row) {
	if r.event {
		d.eventRow(r)
		return
	}
	l := d.layout
	service := d.paint.service(r.service)
	name, bar := plain, service
	switch {
	case r.failed:
		name, bar = red, red
	case r.tree == "":
		name = bold
	}
	d.put(r.tree, dim)
	d.put(text.Left(r.name, l.name-text.Width(r.tree), d.ellipsis), name)
	d.gap()
	d.put(text.Left(r.service, l.service, d.ellipsis), service)
	d.gap()
	d.put(d.scale.bar(r.start, r.end, d.glyphs), bar)
	d.gap()
	d.put(text.Right(r.dwell, l.dwell), name)
	d.endLine()
}

// eventRow writes the line of an event, whose text may use the service's column.
func (d *drawing) eventRow(r row) {
	l := d.layout
	style := plain
	if r.failed {
		style = red
	}
	d.put(r.tree, dim)
	d.put(text.Left(r.name, l.name+len(gap)+l.service-text.Width(r.tree), d.ellipsis), style)
	if !r.follows {
		d.gap()
		d.put(d.scale.mark(r.start, d.event), style)
		d.gap()
		d.put(text.Right(r.dwell, l.dwell), dim)
	}
	d.endLine()
}

const gap = "  "

func (d *drawing) gap() { d.out.WriteString(gap) }

func (d *drawing) put(s string, st style) { d.out.WriteString(d.paint.apply(s, st)) }

// endLine takes the blanks off the end of the line.
func (d *drawing) endLine() {
	trimmed := bytes.TrimRight(d.out.Bytes(), " ")
	d.out.Truncate(len(trimmed))
	d.out.WriteByte('\n')
}

// columnHeads writes the heads of the columns; the scale is above the bars.
func (d *drawing) columnHeads() {
	l := d.layout
	scale := text.Left("0", l.bar, "")
	if total := text.Nanoseconds(d.scale.end-d.scale.start, d.micro); text.Width(total) < l.bar-1 {
		scale = "0" + text.Right(total, l.bar-1)
	}
	d.put(text.Left("SPAN", l.name, "")+gap+text.Left("SERVICE", l.service, "")+gap+scale+gap+text.Right("DWELL", l.dwell), dim)
	d.endLine()
	d.put(strings.Repeat(d.rule, l.total()), dim)
	d.endLine()
}
