// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/exporter/waterfall"
)

// The least sizes for what is beside or below the rest.
const (
	// wideColumns are enough for the waterfall to be beside the rest, tallRows for it to be
	// below.
	wideColumns = 150
	tallRows    = 34
	// leftColumns are what the rest has if the waterfall is beside it.
	leftColumns = 80
	// leastList is how many lines the list of pings has, its head included.
	leastList = 5
)

// Draw returns the picture, which fills the terminal: as many lines as that has, none of
// them longer.
func (m *Model) Draw() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	lines := m.header()
	room := m.height - len(lines) - 1
	if room < 3 { // no room for anything but the essentials
		lines = lines[:min(2, len(lines))]
		room = m.height - len(lines) - 1
	}
	room = max(room, 0)
	var body []string
	switch m.screen {
	case help:
		body = m.help()
	case onePing:
		body = m.page(room)
	default:
		body = m.body(room)
	}
	for len(body) < room {
		body = append(body, "")
	}
	lines = append(append(lines, body[:room]...), m.footer())
	for i := range lines {
		lines[i] = m.look.cut(lines[i], m.width)
	}
	return strings.Join(lines[:min(len(lines), m.height)], "\n")
}

// body is what is between header and footer.
func (m *Model) body(room int) []string {
	if d := m.current(); d.counts().total == 0 && len(d.pings) == 0 && d.resetAt.IsZero() {
		return m.waiting()
	}
	switch {
	case m.width >= wideColumns:
		return m.beside(room)
	case room >= tallRows:
		return m.below(room)
	}
	list := max(leastList, room/3)
	if room < 2*leastList {
		return m.table(m.width, room)
	}
	out := m.table(m.width, room-list-2)
	list = room - len(out) - 2
	return append(append(out, ""), append(m.list(m.width, list), m.slowestLine())...)
}

// below puts the waterfall under the rest.
func (m *Model) below(room int) []string {
	out := append(m.table(m.width, room/3), "")
	out = append(append(out, m.list(m.width, room/5)...), "")
	return append(out, m.slowest(m.width, room-len(out))...)
}

// beside puts the waterfall to the right of the rest.
func (m *Model) beside(room int) []string {
	left := max(leftColumns, m.width*9/20)
	rest := m.width - left - 3
	right := m.slowest(rest, room)
	table := append(m.table(left, room*3/5), "")
	table = append(table, m.list(left, room-len(table))...)
	bar := m.look.paint(string(m.look.pick('│', '|')), dim)
	out := make([]string, room)
	for i := range out {
		var l, r string
		if i < len(table) {
			l = table[i]
		}
		if i < len(right) {
			r = right[i]
		}
		out[i] = m.look.left(l, left) + " " + bar + " " + m.look.cut(r, rest)
	}
	return out
}

// waterfall draws a ping in so many columns, or in as few as it can be drawn in.
func (m *Model) waterfall(p *ping, width int) []string {
	var b bytes.Buffer
	o := waterfall.Options{Width: width, Color: m.look.color, ASCII: m.look.ascii}
	if err := waterfall.Write(&b, p.t, o); err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// slowest is the waterfall of the slowest ping, or what there is room for.
func (m *Model) slowest(width, room int) []string {
	head := m.look.paint("SLOWEST PING OF THE LAST MINUTE", bold)
	p := m.current().worst(m.now)
	if p == nil {
		return []string{head, m.look.paint("none", dim)}
	}
	lines := m.waterfall(p, width)
	if more := len(lines) + 1 - room; more > 0 && room > 2 {
		lines = append(lines[:room-2], m.look.paint(fmt.Sprintf("%s %d more lines: w", m.look.ellipsis(), more+1), dim))
	}
	return append([]string{head}, lines...)
}

// slowestLine says in one line which ping was the slowest.
func (m *Model) slowestLine() string {
	p := m.current().worst(m.now)
	if p == nil {
		return m.look.paint("no ping in the last minute", dim)
	}
	return m.look.paint("slowest ", dim) + m.look.paint(m.look.duration(p.rtt), bold) +
		m.look.paint(fmt.Sprintf("  %s seq %d, %s  ", m.way(p), p.t.Ping.Seq, m.local(p.at).Format("15:04:05")), dim) + "w" + m.look.paint(" shows where", dim)
}

// pageHeight is how many lines of a waterfall fit on the screen.
func (m *Model) pageHeight() int { return max(1, m.height-len(m.header())-1) }

// page is the part of a waterfall that fits.
func (m *Model) page(room int) []string {
	lines := m.waterfall(m.shown, m.width)
	from := min(m.scroll, max(0, len(lines)-room))
	return lines[from:min(len(lines), from+room)]
}

func (m *Model) help() []string {
	var out []string
	for _, k := range keyHelp() {
		out = append(out, "  "+m.look.paint(m.look.left(k[0], 16), bold)+k[1])
	}
	return append(out, "",
		"  Figures of devices are of the last minute; counts are since the time at the top.",
		fmt.Sprintf("  The list has the last %d pings: at most %d a second, and as many that failed.", maxPings, time.Second/listEvery),
		"  Parts of a device are not added to it: they are in it.")
}

// waiting is shown before the first ping.
func (m *Model) waiting() []string {
	whose := "No ping"
	if m.opts.Tenant != "" {
		whose = "No ping of tenant " + m.look.clean(m.opts.Tenant)
	}
	out := []string{
		"", "  " + m.look.paint(whose+" has been seen yet.", bold) + fmt.Sprintf(" Waiting for %s.", seconds(m.now.Sub(m.opts.Start))),
		"", "  " + m.look.paint("What to check", bold),
	}
	for _, s := range m.checks() {
		out = append(out, "  - "+s)
	}
	return out
}

// checks says why there may be no ping.
func (m *Model) checks() []string { return Checks(m.opts.Tenant) }

// Checks says why there may be no ping yet, and how to find out: for the operator if tenant
// is "".
func Checks(tenant string) []string {
	if tenant == "" {
		return []string{
			"Is anybody pinging? Try a ping from this host, or dwell lab run.",
			"Does the agent trace where the pings pass? See trace in its configuration.",
			"Is something lost? See its metrics and docs/losses.md.",
		}
	}
	return []string{
		"Is anybody pinging from one of the tenant's ports, or to one?",
		"Do the tenant's ports, namespaces and VMs exist, as the agent is configured?",
		"The agent's log names those that match nothing, or that two tenants claim.",
		"The operator's view, dwell monitor without --tenant, shows all pings.",
	}
}
