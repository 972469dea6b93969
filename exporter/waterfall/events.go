// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// addEvents adds the rows of a span's events. A leaf that failed without an event
// gets one at its end.
func (d *drawing) addEvents(s *trace.Span, tree string) {
	told := false
	for _, e := range s.Events {
		told = told || e.Name == trace.EventDrop
		lines := d.eventText(e)
		failed := e.Name == trace.EventDrop || e.Name == trace.EventICMPError && d.t.Outcome.ErrorType() != ""
		d.addEvent(tree, d.event+" "+lines[0], e.Time, failed, false)
		for _, more := range lines[1:] {
			d.addEvent(tree, strings.Repeat(" ", text.Width(d.event)+1)+more, e.Time, failed, true)
		}
	}
	if s.Leaf && s.Error != "" && !told {
		d.addEvent(tree, d.event+" dropped: "+s.Error, s.End, true, false)
	}
}

func (d *drawing) addEvent(tree, name string, at int64, failed, follows bool) {
	d.rows = append(d.rows, row{
		tree: tree, name: d.clean(name), start: at, end: at, event: true, follows: follows, failed: failed,
		dwell: "+" + text.Nanoseconds(at-d.scale.start, d.micro),
	})
}

// eventText returns the lines that describe an event.
func (d *drawing) eventText(e trace.Event) []string {
	value := make(map[string]string, len(e.Attrs))
	for _, a := range e.Attrs {
		value[a.Key] = a.Value()
	}
	switch {
	case e.Name == trace.EventDrop && value[trace.AttrDropReason] != "":
		return []string{"dropped: " + value[trace.AttrDropReason]}
	case e.Name == trace.EventNAT && value[trace.AttrNATBefore] != "":
		return []string{"nat " + value[trace.AttrNATBefore], strings.Repeat(" ", max(0, len("nat")-text.Width(d.into))) + d.into + " " + value[trace.AttrNATAfter]}
	case e.Name == trace.EventCopy && value[trace.AttrNetworkInterface] != "":
		return []string{"copied to " + value[trace.AttrNetworkInterface]}
	case e.Name == trace.EventICMPError && value[trace.AttrICMPErrorType] != "":
		return []string{errorText(value, d.t.Ping.Src.Is4())}
	case slices.Contains(actions[:], e.Name):
		return []string{actionText(e, value, d.into)}
	}
	line := e.Name
	for _, a := range e.Attrs {
		line += " " + a.Key + "=" + a.Value()
	}
	return []string{line}
}
