// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// line is a row of the table, ready to be drawn.
type line struct {
	key
	figures
	// label is its name.
	label string
	curve []int64
	// before is set if the figures are the agent's, of the time before.
	before bool
}

// columns are the widths of the table's.
type columns struct {
	name, netns, count, time, curve int
	max                             bool
}

func newColumns(width int) columns {
	c := columns{count: 9, time: 8}
	room := width - c.count - 2*c.time - 6
	if width >= 100 {
		c.max = true
		room -= c.time + 2
	}
	if width >= 50 {
		c.netns = min(24, room/4)
	}
	if width >= 70 {
		c.curve = min(windowSeconds, room/4)
	}
	c.name = max(10, room-c.netns-c.curve-4)
	return c
}

// table lists the dwell of each place, in so many lines at most.
func (m *Model) table(width, room int) []string {
	if room < 2 {
		return nil
	}
	c := newColumns(width)
	lines := m.lines(c)
	out := []string{m.tableHead(c, len(lines) > 0 && lines[0].before)}
	more := len(lines) - (room - 1)
	if more > 0 {
		lines = lines[:room-2]
	}
	for i := range lines {
		out = append(out, m.tableRow(c, &lines[i]))
	}
	switch {
	case more > 0:
		out = append(out, m.look.paint(fmt.Sprintf("  %s %d more", m.look.ellipsis(), more+1), dim))
	case len(lines) == 0:
		out = append(out, m.look.paint("  nothing in the last minute", dim))
	}
	return out
}

// lines returns the rows to show, in their order.
func (m *Model) lines(c columns) []line {
	d := m.current()
	var lines []line
	for _, r := range d.table.rows {
		if r.parent != "" && !m.details {
			continue
		}
		if f := r.window.figures(m.now); f.n > 0 {
			lines = append(lines, line{key: r.key, figures: f, curve: r.window.means(m.now, c.curve)})
		}
	}
	if len(lines) == 0 && len(m.filter) == 0 {
		lines = m.linesBefore(d.before)
	}
	tellApart(lines)
	slices.SortStableFunc(lines, func(a, b line) int {
		switch m.order {
		case byP99:
			return cmp.Compare(b.p99, a.p99)
		case byCount:
			return cmp.Compare(b.n, a.n)
		case byName:
			return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.netns, b.netns))
		}
		return 0
	})
	return lines
}

// tellApart names the lines: by where they lead as well, if there are several that would
// have the same name otherwise.
func tellApart(lines []line) {
	type look struct{ netns, direction, name, parent string }
	alike := make(map[look]int)
	for i := range lines {
		r := &lines[i]
		r.label = r.name()
		alike[look{r.netns, r.direction, r.label, r.parent}]++
	}
	for i := range lines {
		r := &lines[i]
		if r.peer != "" && alike[look{r.netns, r.direction, r.label, r.parent}] > 1 {
			r.label += " -> " + r.peer
		}
	}
}

// linesBefore returns the agent's own rows.
func (m *Model) linesBefore(devices []api.Device) []line {
	var lines []line
	for i := range devices {
		d := &devices[i]
		journey := d.Kind == trace.KindPing.String() || d.Kind == trace.KindRequest.String() || d.Kind == trace.KindReply.String()
		if d.Overflow || journey || d.Parent != "" && !m.details {
			continue
		}
		lines = append(lines, line{key: keyOfDevice(d), figures: figures{d.Count, d.P50, d.P99, d.Max}, before: true})
	}
	return lines
}

func (m *Model) tableHead(c columns, before bool) string {
	when := "DWELL, LAST MINUTE"
	if before {
		when = "DWELL, BEFORE"
	}
	s := m.look.left(when, c.name+2)
	if c.netns > 0 {
		s += "  " + m.look.left("NAMESPACE", c.netns)
	}
	s += m.look.right("COUNT", c.count) + "  " + m.look.right("P50", c.time) + "  " + m.look.right("P99", c.time)
	if c.max {
		s += "  " + m.look.right("MAX", c.time)
	}
	if c.curve > 0 && !before {
		s += "  " + m.look.left("MEAN", c.curve)
	}
	return m.look.paint(s, bold)
}

func (m *Model) tableRow(c columns, r *line) string {
	l := m.look
	st := plain
	if r.before {
		st = dim
	}
	name := l.clean(r.label)
	if r.parent != "" && m.order == byPath {
		name = "  " + name
	}
	s := l.paint(m.direction(r.direction), dim) + " " + l.paint(l.left(l.middle(name, c.name), c.name), st)
	if c.netns > 0 {
		s += "  " + l.paint(l.left(l.middle(l.clean(r.netns), c.netns), c.netns), dim)
	}
	figures := l.right(number(r.n), c.count) + "  " + l.right(l.duration(r.p50), c.time) + "  " + l.right(l.duration(r.p99), c.time)
	if c.max {
		figures += "  " + l.right(l.duration(r.max), c.time)
	}
	s += l.paint(figures, st)
	if len(r.curve) > 0 {
		s += "  " + l.paint(l.curve(r.curve), cyan)
	}
	return s
}

// direction is an arrow for the request or the reply.
func (m *Model) direction(d string) string {
	switch d {
	case trace.Request.String():
		return string(m.look.pick('→', '>'))
	case trace.Reply.String():
		return string(m.look.pick('←', '<'))
	}
	return " "
}

// list shows the last pings, in so many lines at most, around the one that is picked.
func (m *Model) list(width, room int) []string {
	if room < 2 {
		return nil
	}
	all := m.listed()
	head := "LAST PINGS"
	if len(m.filter) > 0 {
		head += fmt.Sprintf(" that match (%d of %d)", len(all), len(m.current().pings))
	}
	out := []string{m.look.paint(head, bold)}
	if len(all) == 0 {
		return append(out, m.look.paint("  none", dim))
	}
	at := m.cursor(all)
	from := max(0, at-(room-2))
	rows := all[from:min(len(all), from+room-1)]
	way := 0
	for _, p := range rows {
		way = max(way, ansi.StringWidth(m.way(p)))
	}
	for i, p := range rows {
		out = append(out, m.listRow(width, min(way, width-listFixed-leastOutcome), p, from+i == at))
	}
	return out
}

// listFixed is what the columns of the list take whose width never changes, with the gaps; leastOutcome is
// what stays for the outcome.
const (
	listFixed    = 2 + 8 + 2 + 2 + 5 + 2 + 9 + 2
	leastOutcome = 12
)

// listRow draws a ping. What is in the last column is cut off first.
func (m *Model) listRow(width, way int, p *ping, picked bool) string {
	l := m.look
	mark := "  "
	if picked {
		mark = l.paint(string(l.pick('▸', '>')), bold) + " "
	}
	outcome := p.t.Outcome.String()
	if r := p.reason(); r != "" {
		outcome += " " + l.clean(r)
	}
	rtt := "-"
	if p.replied {
		rtt = l.duration(p.rtt)
	}
	row := l.paint(m.local(p.at).Format("15:04:05"), dim) + "  "
	if way >= 12 {
		row += l.left(l.middle(m.way(p), way), way) + "  "
	}
	seq := l.right(strconv.Itoa(int(p.t.Ping.Seq)), 5)
	row += l.paint(seq, dim) + "  " + l.right(rtt, 9) + "  " + l.paint(outcome, outcomeStyle(p.t.Outcome, 1))
	if picked {
		row = l.paint(strings.ReplaceAll(row, "\x1b[0m", "\x1b[0;1m"), bold)
	}
	return l.cut(mark+row, width)
}

// way says from where to where.
func (m *Model) way(p *ping) string {
	addr := func(valid bool, s string) string {
		if !valid {
			return "?"
		}
		return s
	}
	src, dst := p.t.Ping.Src, p.t.Ping.Dst
	return addr(src.IsValid(), src.String()) + " " + m.look.arrow() + " " + addr(dst.IsValid(), dst.String())
}
