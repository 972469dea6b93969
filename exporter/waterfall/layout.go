// SPDX-License-Identifier: Apache-2.0

package waterfall

import "github.com/dwelltrace/dwell/exporter/internal/text"

// layout is the width of each column of the picture.
type layout struct {
	name, service, bar, dwell int
}

func (l layout) total() int { return l.name + l.service + l.bar + l.dwell + 3*len(gap) }

// The least that columns are squeezed to when the terminal is narrow.
const (
	leastService = 10
	leastName    = 18
)

// newLayout gives names and services what they need and the bars the rest, but at
// least a quarter: then services are shortened first, names after. The text of an event
// uses both of their columns and what the bars have beyond their quarter.
func newLayout(width int, rows []row) layout {
	l := layout{name: text.Width("SPAN"), service: text.Width("SERVICE"), dwell: text.Width("DWELL")}
	event := 0
	for _, r := range rows {
		l.dwell = max(l.dwell, text.Width(r.dwell))
		name := text.Width(r.tree) + text.Width(r.name)
		if r.event {
			event = max(event, name)
			continue
		}
		l.name = max(l.name, name)
		l.service = max(l.service, text.Width(r.service))
	}
	room := width - l.dwell - 3*len(gap)
	leastBar := room / 4
	missing := func() int { return max(0, l.name+l.service+leastBar-room) }
	l.service -= min(missing(), max(0, l.service-leastService))
	l.name -= min(missing(), max(0, l.name-leastName))
	l.name += max(0, min(event-l.name-len(gap)-l.service, room-l.name-l.service-leastBar))
	l.bar = room - l.name - l.service
	return l
}
