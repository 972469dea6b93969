// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// order is how the rows of the table are sorted.
type order uint8

const (
	byPath order = iota
	byP99
	byCount
	byName
	orders
)

func (o order) String() string { return [orders]string{"path", "p99", "count", "name"}[o] }

// keyHelp describes the keys, for the help.
func keyHelp() [][2]string {
	return [][2]string{
		{"q, Ctrl-C", "quit"},
		{"p, space", "pause: the picture stands still, counting goes on"},
		{"up, down, j, k", "pick a ping; in a waterfall, scroll"},
		{"Enter", "show the waterfall of the ping that is picked"},
		{"w", "show the waterfall of the slowest ping of the last minute"},
		{"Esc", "back; without a waterfall, follow the newest ping again"},
		{"/", "filter by words: outcome, reason, address, device, bridge, namespace"},
		{"s", "sort the table by path, p99, count or name"},
		{"d", "show the parts of each device, too"},
		{"r", "reset the counts"},
		{"?", "this help"},
	}
}

// key does what a key asks for.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case m.typing:
		m.typeFilter(k)
		return nil
	case name == "q":
		return tea.Quit
	case name == "p", name == "space":
		m.pause()
	case name == "?":
		m.screen = toggled(m.screen, help)
	case name == "esc":
		m.back()
	case m.screen == onePing:
		m.scrollKey(name)
	case m.screen == overview:
		m.overviewKey(name)
	}
	return nil
}

func toggled(now, to screen) screen {
	if now == to {
		return overview
	}
	return to
}

func (m *Model) pause() {
	if m.frozen != nil {
		m.frozen = nil
		return
	}
	m.frozen = m.data.clone()
}

func (m *Model) back() {
	if m.screen != overview {
		m.screen = overview
		return
	}
	m.selected = nil
	m.setFilter("")
}

func (m *Model) overviewKey(name string) {
	switch name {
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-10)
	case "pgdown":
		m.move(10)
	case "home", "g":
		m.selected = nil
	case "enter":
		if list := m.listed(); len(list) > 0 {
			m.open(list[m.cursor(list)])
		}
	case "w":
		m.open(m.current().worst(m.now))
	case "/":
		m.typing, m.typed = true, strings.Join(m.filter, " ")
	case "s":
		m.order = (m.order + 1) % orders
	case "d":
		m.details = !m.details
	case "r":
		m.data.reset(m.now)
		m.link.lost, m.link.missed, m.link.unread, m.link.err = 0, 0, 0, nil
		m.frozen, m.selected = nil, nil
	}
}

func (m *Model) open(p *ping) {
	if p != nil {
		m.screen, m.shown, m.scroll = onePing, p, 0
	}
}

func (m *Model) scrollKey(name string) {
	switch name {
	case "up", "k":
		m.scroll--
	case "down", "j":
		m.scroll++
	case "pgup":
		m.scroll -= m.height / 2
	case "pgdown":
		m.scroll += m.height / 2
	case "home", "g":
		m.scroll = 0
	case "enter":
		m.screen = overview
	}
	m.scroll = max(0, min(m.scroll, len(m.waterfall(m.shown, m.width))-m.pageHeight()))
}

// listed returns the pings in the list that match the filter, the newest first.
func (m *Model) listed() []*ping {
	var list []*ping
	for _, p := range slices.Backward(m.current().pings) {
		if p.match(m.filter) {
			list = append(list, p)
		}
	}
	return list
}

// cursor returns which ping of the list is picked: the first if that one is no longer there.
func (m *Model) cursor(list []*ping) int { return max(0, slices.Index(list, m.selected)) }

// move picks another ping. The first one is not held: whoever is at the top sees the newest.
func (m *Model) move(by int) {
	list := m.listed()
	if len(list) == 0 {
		return
	}
	at := max(0, min(m.cursor(list)+by, len(list)-1))
	if m.selected = list[at]; at == 0 && by < 0 {
		m.selected = nil
	}
}

// typeFilter edits the filter, which is in force as it is typed.
func (m *Model) typeFilter(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.typing = false
		return
	case "esc":
		m.typing, m.typed = false, ""
	case "backspace":
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.typed = ""
	default:
		if len(m.typed) < 100 {
			m.typed += k.Text
		}
	}
	m.setFilter(m.typed)
}

// setFilter measures anew what is in the list; what comes later is measured if it matches.
func (m *Model) setFilter(typed string) {
	words := filterWords(typed)
	if slices.Equal(words, m.filter) {
		return
	}
	m.filter = words
	match := func(p *ping) bool { return p.match(words) }
	m.data.refill(match)
	if m.frozen != nil {
		m.frozen.refill(match)
	}
}
