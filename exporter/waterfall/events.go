// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
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
		lines, dropped := d.eventText(e)
		mark := d.event
		if dropped {
			mark = d.dropped
		}
		failed := dropped || e.Name == trace.EventDrop || e.Name == trace.EventICMPError && d.t.Outcome.ErrorType() != ""
		d.addEvent(tree, mark+" "+lines[0], e.Time, failed, false)
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

// eventText returns the lines that describe an event, and whether it says which rule dropped
// the packet.
func (d *drawing) eventText(e trace.Event) (lines []string, dropped bool) {
	value := make(map[string]string, len(e.Attrs))
	for _, a := range e.Attrs {
		value[a.Key] = a.Value()
	}
	switch {
	case e.Name == trace.EventDrop && value[trace.AttrDropReason] != "":
		return []string{"dropped: " + value[trace.AttrDropReason]}, false
	case e.Name == trace.EventNAT && value[trace.AttrNATBefore] != "":
		return []string{"nat " + value[trace.AttrNATBefore], strings.Repeat(" ", max(0, len("nat")-text.Width(d.into))) + d.into + " " + value[trace.AttrNATAfter]}, false
	case e.Name == trace.EventCopy && value[trace.AttrNetworkInterface] != "":
		return []string{"copied to " + value[trace.AttrNetworkInterface]}, false
	case e.Name == trace.EventICMPError && value[trace.AttrICMPErrorType] != "":
		return []string{errorText(value, d.t.Ping.Src.Is4())}, false
	case e.Name == trace.EventFirewall:
		line, dropped := firewallText(e, value)
		return []string{line}, dropped
	case e.Name == trace.EventRedirect, e.Name == trace.EventFallback, e.Name == trace.EventLearn:
		return fastPathText(e, value, d.into), false
	}
	line := e.Name
	for _, a := range e.Attrs {
		line += " " + a.Key + "=" + a.Value()
	}
	return []string{line}, false
}
