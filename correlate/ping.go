// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// ping is what is known of one ping while it is open.
type ping struct {
	links
	key   echoKey
	local bool
	// keys are all keys in table.flows under which the ping is found.
	keys []flowKey
	// notBefore is the time of the first event if there was a ping with the same content
	// before, 0 otherwise.
	notBefore uint64
	// contested is set once another ping with the same content has begun: from then
	// on addresses decide to which of them an event belongs.
	contested bool

	events []event.Event
	// first and last are the earliest and the latest event's times.
	first, last uint64
	// done is the time of the event that ended the ping, 0 if none did yet.
	done uint64
	// cause is why the ping was closed early, or "".
	cause trace.Cause
}

// add keeps ev and notes whether it is the one that ends the ping.
func (p *ping) add(ev *event.Event) {
	if len(p.events) == 0 || ev.Time < p.first {
		p.first = ev.Time
	}
	p.last = max(p.last, ev.Time)
	p.events = append(p.events, *ev)
	if p.done == 0 && p.ends(ev) {
		p.done = ev.Time
	}
}

// ends reports whether ev is the reply's delivery, or its leaving on the device on
// which the request came in.
func (p *ping) ends(ev *event.Event) bool {
	if ev.Type != event.EchoReply {
		return false
	}
	if ev.Hook == event.SKBCopyDatagramIovec {
		return true
	}
	return ev.Hook == event.NetDevXmit && p.cameInOn(ev.NetNS, ev.IfIndex)
}

// cameInOn reports whether the request's earliest event is its arrival on a device.
func (p *ping) cameInOn(netns, ifindex uint32) bool {
	var first *event.Event
	for i := range p.events {
		if e := &p.events[i]; e.Type == event.EchoRequest && (first == nil || e.Time < first.Time) {
			first = e
		}
	}
	return first != nil && first.Hook.Arrival() && first.NetNS == netns && first.IfIndex == ifindex
}

// resendAfter is how long after a request, in nanoseconds, the same request at the same
// hook of the same device cannot be a step of the first: no packet is queued twice for
// one device but within microseconds.
const resendAfter = 10e6

// reroutedAfter is the same, in nanoseconds, for another hook or device of the namespace.
// Between the queues of a stacked device and of the one below there is all the time for
// which the first holds the packet back; but ping sends the next after a second.
const reroutedAfter = 900e6

// overtaken reports whether ev begins another ping with the content of p: a request is
// sent again, or comes in again, after p's reply was delivered, or is sent long after
// it was.
func (p *ping) overtaken(ev *event.Event) bool {
	if ev.Type != event.EchoRequest {
		return false
	}
	if p.done != 0 && ev.Time > p.done {
		return originates(ev) || ev.Hook.Arrival() && p.cameInOn(ev.NetNS, ev.IfIndex)
	}
	if !originates(ev) {
		return false
	}
	began := p.began()
	switch {
	case began == nil:
		return false
	case ev.NetNS != began.NetNS:
		return true
	case ev.Hook == began.Hook && ev.IfIndex == began.IfIndex:
		return ev.Time > began.Time+resendAfter
	}
	return ev.Time > began.Time+reroutedAfter
}

// visited reports whether the ping has been seen in a namespace.
func (p *ping) visited(netns uint32) bool {
	return slices.ContainsFunc(p.events, func(ev event.Event) bool { return ev.NetNS == netns })
}

// began returns the event with which the request's sender sent it, or nil.
func (p *ping) began() *event.Event {
	for i := range p.events {
		if e := &p.events[i]; originates(e) && e.Type == event.EchoRequest {
			return e
		}
	}
	return nil
}
