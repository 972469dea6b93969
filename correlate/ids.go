// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// identify gives a trace whose spans are all there its ID, and them theirs. Content, and what
// distinguishes the ping on this host if content does not, are those of its first event; left is
// set if the reply has left this host.
func (o *Options) identify(t *trace.Trace, first *event.Event, left bool) {
	t.ID = Identify(o.Key, first.Seq, first.Payload)
	if t.Local {
		t.Random = t.ID.Randomness()
		t.ID = o.Key.localID(first, o.Wall)
	}
	if !t.Sent && !t.Local && !o.OwnRoot {
		t.Remote = o.Key.rootID(t.ID, "")
		if left {
			t.RemoteTurn = o.Key.turnID(t.Remote)
		}
	}
	o.identifySpans(t)
}

// identifySpans derives the IDs of the spans from that of the trace.
func (o *Options) identifySpans(t *trace.Trace) {
	passed := o.HostID
	if t.Sent {
		passed = ""
	}
	root := t.Root()
	root.ID = o.Key.rootID(t.ID, passed)
	at := 0 // the index of the journey
	var requests, replies int
	for i := 1; i < len(t.Spans); i++ {
		s := &t.Spans[i]
		switch {
		case s.Kind == trace.KindRequest:
			at, s.ID = i, o.Key.journeyID(t.ID, o.HostID, s.Kind, requests)
			requests++
		case s.Kind == trace.KindReply:
			at, s.ID = i, o.Key.journeyID(t.ID, o.HostID, s.Kind, replies)
			replies++
		case s.Parent == 0:
			s.ID = o.Key.turnID(root.ID)
		default:
			s.ID = o.Key.childID(t.Spans[at].ID, i-at)
		}
	}
}
