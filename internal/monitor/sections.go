// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// header says what is watched, how fast, and how the pings ended.
func (m *Model) header() []string {
	d, l := m.current(), m.look
	who := "all pings (operator)"
	if m.opts.Tenant != "" {
		who = "tenant " + l.clean(m.opts.Tenant)
	}
	title := l.paint("dwell monitor", bold) + "  " + l.paint(who, "1;36") + "  " + l.paint(l.clean(m.opts.Backend), dim)
	c := d.counts()
	rtt := d.rtt.figures(m.now)
	line := fmt.Sprintf("%s pings/s   %s %s", rate(m.data.rate.rate(m.now)), l.paint(number(c.total), bold), plural(c.total, "ping"))
	if start := latest(d.start, d.resetAt); !start.IsZero() {
		line += " since " + clockTime(m.local(start), m.local(m.now))
	}
	losses := m.losses()
	if rtt.n > 0 {
		line += fmt.Sprintf("   RTT p50 %s  p99 %s", l.duration(rtt.p50), l.duration(rtt.p99))
		most := "  max " + l.duration(rtt.max)
		if ansi.StringWidth(line+most+" "+losses) <= m.width { // rather nothing than half of it
			line += most
		}
	}
	return []string{
		l.spread(title, m.state(), m.width),
		l.spread(line, losses, m.width),
		m.outcomes(c),
		m.reasons(c),
		l.paint(strings.Repeat(string(l.pick('─', '-')), m.width), dim),
	}
}

func plural(n uint64, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// clockTime writes a time of today without the date.
func clockTime(t, now time.Time) string {
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04")
}

func rate(r float64) string {
	if r >= 10 {
		return number(uint64(r + 0.5))
	}
	return fmt.Sprintf("%.1f", r)
}

func seconds(d time.Duration) string { return d.Round(time.Second).String() }

// state says whether what is shown is up to date.
func (m *Model) state() string {
	l := m.look
	switch {
	case m.link.up && m.frozen != nil:
		return l.paint("paused", yellow)
	case m.link.up:
		return l.paint(string(l.pick('●', '*'))+" live", green)
	case m.link.gone.Err == nil:
		return l.paint("connecting", yellow)
	}
	what := "agent gone"
	if m.link.gone.refused() {
		what = "refused"
	}
	s := fmt.Sprintf("%s for %s", what, seconds(m.now.Sub(m.link.since)))
	if wait := m.link.gone.Again.Sub(m.now); wait >= time.Second {
		s += fmt.Sprintf(", next try in %s", seconds(wait))
	}
	return l.paint(s, alarm)
}

// losses says what is missing from the picture.
func (m *Model) losses() string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{m.link.lost, "lost: too fast"}, {m.link.missed, "missed: agent gone"}, {m.link.unread, "unreadable"}, {m.data.table.beyond, "not in the table"}} {
		if p.n > 0 {
			parts = append(parts, number(p.n)+" "+p.what)
		}
	}
	if len(parts) == 0 {
		return m.look.paint("0 lost", dim)
	}
	return m.look.paint(strings.Join(parts, ", "), yellow)
}

// outcomes says how the pings ended.
func (m *Model) outcomes(c counts) string {
	if !m.link.up && m.link.gone.Err != nil {
		return m.look.paint(m.look.clean(firstLine(m.link.gone.Err.Error())), red)
	}
	var parts []string
	for _, o := range trace.Outcomes() {
		n := c.outcomes[o.String()]
		if n == 0 && o != trace.Complete && o != trace.Dropped && o != trace.Incomplete {
			continue
		}
		text := fmt.Sprintf("%s %s", o, number(n))
		if n > 0 && c.total > 0 && n < c.total {
			text += fmt.Sprintf(" (%s)", percent(float64(n)/float64(c.total)))
		}
		parts = append(parts, m.look.paint(text, outcomeStyle(o, n)))
	}
	return strings.Join(parts, "   ")
}

// percent writes a share so that neither a few are none nor nearly all are all.
func percent(share float64) string {
	switch p := 100 * share; {
	case p < 0.1:
		return "<0.1 %"
	case p > 99.9:
		return ">99.9 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func outcomeStyle(o trace.Outcome, n uint64) style {
	switch {
	case n == 0:
		return dim
	case o == trace.Complete:
		return green
	case o == trace.Dropped:
		return red
	}
	return yellow
}

// reasons says why pings were dropped, and why traces are incomplete.
func (m *Model) reasons(c counts) string {
	list := func(title string, by map[string]uint64, st style) string {
		if len(by) == 0 {
			return m.look.paint(title+": none", dim)
		}
		keys := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
			return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
		})
		for i, k := range keys {
			keys[i] = m.look.clean(k) + " " + number(by[k])
		}
		return title + ": " + m.look.paint(strings.Join(keys, ", "), st)
	}
	return list("drops", c.drops, red) + "   " + list("incomplete", c.causes, yellow)
}

// footer says what the keys do, or what is being typed.
func (m *Model) footer() string {
	l := m.look
	switch {
	case m.typing:
		return l.paint("/", bold) + l.clean(m.typed) + l.paint(" ", inverse) + l.paint("   Enter keeps the filter, Esc removes it", dim)
	case m.screen == onePing:
		return m.keys("Esc", "back", "j k", "scroll", "q", "quit")
	case m.screen == help:
		return m.keys("Esc", "back", "q", "quit")
	}
	pause := "pause"
	if m.frozen != nil {
		pause = "go on"
	}
	filter := "filter"
	if len(m.filter) > 0 {
		filter = "filter: " + l.paint(l.clean(strings.Join(m.filter, " ")), yellow)
	}
	return m.keys("q", "quit", "?", "help", "p", pause, "j k", "pick", "Enter", "show", "/", filter, "s", "sort: "+m.order.String(), "d", "details", "r", "reset")
}

func (m *Model) keys(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, m.look.paint(pairs[i], bold)+" "+m.look.paint(pairs[i+1], dim))
	}
	return strings.Join(parts, "  ")
}
