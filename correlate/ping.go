// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// ping is what is known of one ping while it is open.
type ping struct {
	links
	key   echoKey
	local bool
	// dated is set if the content says when the ping was sent.
	dated bool
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
	// held is set once the ping is kept open beyond the timeout.
	held bool
	// forgotten is set once no event is taken for one of this ping any more.
	forgotten bool
	// cause is why the ping was closed early, or "".
	cause trace.Cause
	// closed is when it was closed, if it waits for names then, and asked is how many of its events
	// are at places that have them.
	closed uint64
	asked  int
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

// onlyHere reports whether the content does not distinguish the ping from others, so that its IDs are
// only valid on this host.
func (p *ping) onlyHere() bool { return p.local || !p.dated }

// ends reports whether ev is the reply's delivery, or its leaving on the device on
// which the request came in; or whether an ICMP error is delivered in its place.
func (p *ping) ends(ev *event.Event) bool {
	if ev.Type == event.EchoRequest || ev.Hook.Acts() {
		return false
	}
	switch {
	case packet.Taken(ev):
		return true
	case ev.Type != event.EchoReply:
		return false
	case packet.Read(ev):
		began := p.began()
		return began != nil && began.Flags.Has(event.PacketSocket) && began.NetNS == ev.NetNS
	}
	return packet.Returned(ev) && p.cameInOn(ev.NetNS, ev.IfIndex)
}

// cameInOn reports whether the request's earliest event is its arrival on a device.
func (p *ping) cameInOn(netns, ifindex uint32) bool {
	first := p.earliest()
	return first != nil && !packet.Made(first) && packet.Enters(first) && first.NetNS == netns && first.IfIndex == ifindex
}

// carries reports whether ev is the next step of a packet of p: it is in a buffer in which
// p was seen and which it can have kept, or a tunnel's packet with p inside; or it was sent
// on by a program in a namespace where p has arrived, with p's addresses or from a
// packet socket.
func (p *ping) carries(ev *event.Event) bool {
	if ev.Encapsulated() {
		return true
	}
	for i := len(p.events) - 1; i >= 0; i-- {
		if e := &p.events[i]; e.SKB == ev.SKB && e.Type == ev.Type && !packet.Returned(e) {
			if e.Time <= ev.Time && packet.Continues(e, ev) {
				return true
			}
			break
		}
	}
	return p.relayed(ev)
}

// relayed reports whether ev is p being sent on by a program in a namespace where p has
// arrived, with p's addresses or from a packet socket. A program that XDP gives packets gets
// them before any hook; its packet is p if the content says when it was sent.
func (p *ping) relayed(ev *event.Event) bool {
	if ev.Flags.Has(event.PacketSocket) && p.dated && ev.Time > p.first {
		return true
	}
	arrived := func(e *event.Event) bool {
		return e.NetNS == ev.NetNS && e.Type == ev.Type && packet.Inbound(e) && !e.Flags.Has(event.Loopback) && e.Time <= ev.Time &&
			(ev.Flags.Has(event.PacketSocket) || e.ID == ev.ID && e.Src == ev.Src && e.Dst == ev.Dst)
	}
	return p.any(arrived)
}

// waits reports whether a packet of the ping was last seen with the network stack of a
// namespace of this host, where it may wait for a neighbour.
func (p *ping) waits() bool {
	var last *event.Event
	for i := range p.events {
		if e := &p.events[i]; !e.Hook.Acts() && (last == nil || e.Time >= last.Time) {
			last = e
		}
	}
	return last != nil && packet.InStack(last)
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
// it was. One that comes in again right away, and says when it was sent, is a duplicate.
func (p *ping) overtaken(ev *event.Event) bool {
	if ev.Type != event.EchoRequest || ev.Hook.Acts() {
		return false
	}
	if p.done != 0 && ev.Time > p.done {
		if packet.Made(ev) {
			return !p.carries(ev)
		}
		duplicate := p.dated && ev.Time <= p.done+resendAfter
		return packet.Enters(ev) && !duplicate && p.cameInOn(ev.NetNS, ev.IfIndex)
	}
	if !packet.Made(ev) {
		return !p.dated && (p.cannotBe(ev) || p.diedApart(ev) && !p.visited(ev.NetNS))
	}
	if p.carries(ev) {
		return false
	}
	began := p.began()
	switch {
	case began == nil:
		return false
	case ev.NetNS != began.NetNS:
		return true
	case ev.Hook == began.Hook && packet.SameDevice(ev, began):
		return ev.Time > began.Time+resendAfter
	}
	return ev.Time > began.Time+reroutedAfter
}

// another reports whether ev begins another ping with the content of p.
func (p *ping) another(ev *event.Event) bool {
	if !packet.Made(ev) {
		return p.meets(ev) || p.diedApart(ev) && !p.has(flowKeyOf(ev))
	}
	began := p.began()
	return began != nil && !sameOrigin(began, ev) && !p.carries(ev)
}

// cannotBe reports whether ev, with which a request comes in, is of another ping than p although
// the content is the same: it comes in on another device, in another buffer, before p was
// given to anything that could have brought it there.
func (p *ping) cannotBe(ev *event.Event) bool {
	if !entersAnew(ev) || ev.Encapsulated() {
		return false
	}
	moved := func(e *event.Event) bool {
		return e.SKB == ev.SKB || e.Encapsulated() || packet.Read(e) || packet.Driven(e) && e.TTL >= ev.TTL
	}
	first := p.earliest()
	return first != nil && !packet.SameDevice(first, ev) && !p.any(moved)
}

// meets reports whether ev, with which a request comes in, is of another ping than p although the
// content is the same: its addresses or identifier are none that p had, and it comes in where p
// did or cannot be p.
func (p *ping) meets(ev *event.Event) bool {
	if !entersAnew(ev) {
		return false
	}
	if p.within(ev) || p.has(flowKeyOf(ev)) {
		return false
	}
	first := p.earliest()
	return first != nil && packet.SameDevice(first, ev) && first.TTL <= ev.TTL || p.cannotBe(ev)
}

// strange reports whether ev has neither an address nor the identifier in common with p, and is
// in another buffer. No device on the way changes all three: the content is the same by chance,
// as that of two pings that were sent in the same microsecond.
func (p *ping) strange(ev *event.Event) bool {
	alike := func(e *event.Event) bool {
		return e.ID == ev.ID || e.Src == ev.Src || e.Dst == ev.Dst || e.Src == ev.Dst || e.Dst == ev.Src
	}
	return !p.any(alike) && !p.within(ev)
}

// diedApart reports whether ev is the death of a request where it was made, in a buffer in which
// p was not.
func (p *ping) diedApart(ev *event.Event) bool {
	return packet.Died(ev) && packet.Born(ev) && !p.within(ev)
}

// within reports whether p was in the event's buffer.
func (p *ping) within(ev *event.Event) bool {
	return p.any(func(e *event.Event) bool { return e.SKB == ev.SKB })
}

// has reports whether a packet of p had the addresses and the identifier of k.
func (p *ping) has(k flowKey) bool {
	return p.any(func(e *event.Event) bool { return flowKeyOf(e) == k })
}

// entersAnew reports whether a request may have come into this host's sight with ev, and not
// as one of the copies that a broadcast has.
func entersAnew(ev *event.Event) bool {
	return ev.Type == event.EchoRequest && packet.Enters(ev) && !ev.Flags.Has(event.Paired) && !broadcast(ev.Dst, 0xff)
}

// any reports whether ok holds for an event of the ping.
func (p *ping) any(ok func(*event.Event) bool) bool {
	for i := range p.events {
		if ok(&p.events[i]) {
			return true
		}
	}
	return false
}

// earliest returns the first event of the request, or nil.
func (p *ping) earliest() *event.Event {
	var first *event.Event
	for i := range p.events {
		if e := &p.events[i]; e.Type == event.EchoRequest && (first == nil || e.Time < first.Time) {
			first = e
		}
	}
	return first
}

// passed reports whether the ping has been seen on the device of ev.
func (p *ping) passed(ev *event.Event) bool {
	return p.any(func(e *event.Event) bool { return packet.SameDevice(e, ev) })
}

// visited reports whether the ping has been seen in a namespace.
func (p *ping) visited(netns uint32) bool {
	return p.any(func(ev *event.Event) bool { return ev.NetNS == netns })
}

// began returns the event with which the request's sender sent it, or nil.
func (p *ping) began() *event.Event {
	for i := range p.events {
		if e := &p.events[i]; e.Type == event.EchoRequest && packet.Made(e) && !e.Encapsulated() {
			return e
		}
	}
	return nil
}
