// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// Options say what is shown, and how.
type Options struct {
	// Tenant is the ID of the tenant, "" for the operator, who sees all.
	Tenant string
	// Backend names the agent, for people.
	Backend string
	// Color and ASCII are as in package waterfall.
	Color, ASCII bool
	// Start is when the program was started. Times are shown in its zone.
	Start time.Time
	// Count is after how many pings the view ends; 0 means never.
	Count uint64
}

// screen is what fills the terminal.
type screen uint8

const (
	overview screen = iota
	onePing
	help
)

// Model is the view: what came, and what the keys have chosen of it.
type Model struct {
	opts Options
	look look
	now  time.Time
	// width and height are the terminal's.
	width, height int

	link link
	data *data
	// frozen is what is shown while the view is paused, else nil.
	frozen *data
	// total is how many pings came.
	total uint64

	screen screen
	// selected is the ping under the cursor; nil means always the newest.
	selected *ping
	// shown is whose waterfall fills the screen, scroll how many of its lines are above.
	shown  *ping
	scroll int
	// filter is in force; typed is what was typed of the next one while typing.
	filter  []string
	typing  bool
	typed   string
	order   order
	details bool
}

// link is what is known of the connection to the agent.
type link struct {
	up bool
	// clock is what to add to the agent's clock to get ours; opened is when the stream began
	// on the agent's.
	clock  time.Duration
	opened time.Time
	gone   Gone
	since  time.Time
	// Lines that the agent could not send, pings that passed while it was gone, lines
	// that could not be read, and why.
	lost, missed, unread uint64
	err                  error
}

// New returns a view of nothing yet.
func New(o Options) *Model {
	return &Model{opts: o, look: look{color: o.Color, ascii: o.ASCII}, now: o.Start, data: &data{}}
}

// Tick says what time it is.
type Tick time.Time

// Init starts the clock.
func (m *Model) Init() tea.Cmd { return tick() }

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return Tick(t) })
}

// Update takes in a message: of a feed, of the keyboard, of the terminal, or the time.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Tick:
		m.passed(time.Time(msg))
		return m, tick()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case Connected:
		m.passed(msg.At)
		m.link.up, m.link.since = true, msg.At
		m.link.clock, m.link.opened = msg.At.Sub(msg.Clock), msg.Clock
	case Gone:
		m.passed(msg.At)
		if m.link.up {
			m.link.since = msg.At
		}
		m.link.up, m.link.gone = false, msg
	case Counted:
		m.passed(msg.At)
		m.counted(msg)
	case Batch:
		m.passed(msg.At)
		m.batch(msg)
		if m.opts.Count > 0 && m.total >= m.opts.Count {
			return m, tea.Quit
		}
	}
	return m, nil
}

// local is a time as the user's clock shows it.
func (m *Model) local(t time.Time) time.Time { return t.In(m.opts.Start.Location()) }

func (m *Model) passed(now time.Time) { m.now = latest(m.now, now) }

// counted takes in the agent's own counts.
func (m *Model) counted(c Counted) {
	m.link.missed += c.Missed
	m.data.summary(c.Summary)
}

func (m *Model) batch(b Batch) {
	m.link.lost += b.Lost
	m.link.unread += b.Unread
	if b.Err != nil {
		m.link.err = b.Err
	}
	m.data.rate.add(m.now, b.Lost+b.Unread)
	for _, t := range b.Traces {
		m.total++
		end := time.Unix(0, t.Root().End)
		old := end.Before(m.link.opened)
		if old && m.link.missed > 0 {
			m.link.missed-- // it was not, after all
		}
		at := end.Add(m.link.clock)
		if at.After(m.now) {
			at = m.now
		}
		if p := newPing(t, at); p.match(m.filter) {
			m.data.add(p, old, m.now)
		} else if !old {
			m.data.since.add(t)
			m.data.rate.add(at, 1)
		}
	}
}

// current is what is shown.
func (m *Model) current() *data {
	if m.frozen != nil {
		return m.frozen
	}
	return m.data
}

// View draws the picture.
func (m *Model) View() tea.View {
	v := tea.NewView(m.Draw())
	v.AltScreen = true
	v.WindowTitle = "dwell monitor"
	return v
}
