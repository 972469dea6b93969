// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Traces makes the traces of the listing, on the listing's own clock.
func (l *Listing) Traces() ([]*trace.Trace, correlate.Stats) {
	var traces []*trace.Trace
	delivery := slices.ContainsFunc(l.Events, func(ev event.Event) bool { return ev.Hook == event.SKBCopyDatagramIovec })
	opts := correlate.Options{
		Resolver: l,
		MaxOpen:  max(l.Pings, 1),
		Emit: func(t *trace.Trace) {
			if !delivery {
				completeOnArrival(t)
			}
			traces = append(traces, t)
		},
	}
	c := correlate.New(opts)
	var last uint64
	for i := range l.Events {
		c.Add(&l.Events[i])
		last = max(last, l.Events[i].Time)
	}
	c.Advance(last + uint64(time.Hour)) // whatever has not ended by now does not
	return traces, c.Stats()
}

// completeOnArrival calls a ping complete whose reply has arrived on the device that
// sent the request. The paper's script did not watch how a process takes a packet, so
// that this is the last that can be known of it.
func completeOnArrival(t *trace.Trace) {
	if t.Cause != trace.CauseNotDelivered {
		return
	}
	sent, arrived := firstLeaf(t, trace.KindRequest), lastLeaf(t, trace.KindReply)
	if sent == nil || arrived == nil || sent.Device == nil {
		return
	}
	if arrived.Peer == sent.Device && (arrived.Kind == trace.KindLink || arrived.Kind == trace.KindDecapsulate) {
		t.Outcome, t.Cause = trace.Complete, ""
	}
}

// firstLeaf returns the leaf with which the first journey of a kind begins, or nil.
func firstLeaf(t *trace.Trace, kind trace.Kind) *trace.Span {
	journey := journeyOf(t, kind)
	i := slices.IndexFunc(journey, isLeaf)
	if i < 0 {
		return nil
	}
	return &journey[i]
}

// lastLeaf returns the leaf with which the first journey of a kind ends, or nil.
func lastLeaf(t *trace.Trace, kind trace.Kind) *trace.Span {
	journey := journeyOf(t, kind)
	if n := len(journey); n > 0 && journey[n-1].Leaf {
		return &journey[n-1]
	}
	return nil
}

func isLeaf(s trace.Span) bool { return s.Leaf }

// journeyOf returns the spans below the first journey of a kind, none if there is no
// such journey.
func journeyOf(t *trace.Trace, kind trace.Kind) []trace.Span {
	i := slices.IndexFunc(t.Spans, func(s trace.Span) bool { return s.Kind == kind })
	if i < 0 {
		return nil
	}
	return t.Spans[i+1 : t.After(i)]
}
