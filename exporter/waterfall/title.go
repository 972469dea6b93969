// SPDX-License-Identifier: Apache-2.0

package waterfall

import (
	"fmt"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/text"
)

// title writes what is known of the ping as a whole.
func (d *drawing) title() {
	t := d.t
	d.put(fmt.Sprintf("ping %s -> %s", t.Ping.Src, t.Ping.Dst), bold)
	d.put(fmt.Sprintf("  seq %d  ", t.Ping.Seq), plain)
	switch t.Outcome {
	case trace.Complete:
		if rtt, ok := t.RTT(); ok {
			d.put("rtt "+text.Nanoseconds(rtt, d.micro)+"  ", bold)
		}
		d.put("complete", green)
	case trace.Dropped:
		d.put("dropped: "+d.clean(t.DropReason), red)
		if e := t.Dropped(0); e != nil && e.Blame() != "" {
			d.put(" by "+d.clean(e.Blame()), red)
		}
	case trace.Incomplete:
		d.put("incomplete: "+describe(t.Cause), yellow)
	default:
		d.put(t.Outcome.String()+": "+t.Outcome.Meaning(), colourOf(t.Outcome))
	}
	if t.Duplicates > 0 {
		d.put(fmt.Sprintf("  duplicate replies: %d", t.Duplicates), yellow)
	}
	d.endLine()
	d.put("trace "+t.ID.String(), dim)
	if t.Local {
		d.put("  (this host's own: the payload does not tell the ping from others)", dim)
	}
	d.endLine()
	d.endLine()
}

// colourOf returns red for an error, and nothing for what was asked for.
func colourOf(o trace.Outcome) style {
	if o.ErrorType() != "" {
		return red
	}
	return plain
}

// describe says in words why a trace is incomplete.
func describe(c trace.Cause) string {
	switch c {
	case trace.CauseEventsLost:
		return "events were lost while the ping was on its way"
	case trace.CauseEvicted:
		return "too many pings were open at once"
	case trace.CauseAgentStarted:
		return "tracing began while the ping was on its way"
	case trace.CauseAgentStopped:
		return "tracing ended while the ping was on its way"
	case trace.CauseNoRequest:
		return "the request was not seen"
	case trace.CauseNoReply:
		return "no reply came in time"
	case trace.CauseNotDelivered:
		return "the reply was seen and did not arrive"
	case trace.CauseUnseen:
		return "the packet went where no hook sees it"
	}
	return string(c)
}
