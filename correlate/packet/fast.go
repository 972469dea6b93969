// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Handed reports whether act is that the fast path gave a packet to the other end of a pair. The
// kernel takes the packet up there at once, and no hook sees that: neither the driver's call nor
// an arrival.
func Handed(act *event.Event) bool {
	return sentOn(act) && act.Rewrite.Peer != event.Place{}
}

// Arrival returns the arrival of a packet of which act is that it was Handed.
func Arrival(act *event.Event) event.Event {
	ev, r := *act, &act.Rewrite
	ev.Hook, ev.Action, ev.Rewrite = event.NetifReceiveSKB, event.Action{}, event.Rewrite{}
	ev.NetNS, ev.IfIndex = r.Peer.NetNS, r.Peer.IfIndex
	ev.Peer = event.Place{NetNS: act.NetNS, IfIndex: act.Action.To}
	ev.Flags |= event.Paired | event.Received
	ev.Src, ev.Dst, ev.ID, ev.TTL = r.Src, r.Dst, r.ID, r.TTL
	if r.Flags.Has(event.RewriteDecapsulated) && ev.Depth > 0 {
		ev.Depth--
		ev.Tunnels = [event.MaxTunnels]event.Tunnel{ev.Tunnels[1]}
	}
	return ev
}

// sentOn reports whether an action is that the fast path sent the packet to another device.
func sentOn(act *event.Event) bool {
	return act.Action.Deed == event.Redirect && act.Action.To != 0
}

// fast reports whether the fast path brought the packet from one event to the next.
func (f *Follower) fast(from, to *event.Event) bool {
	if from.SKB == 0 || !Inbound(from) || Returned(to) {
		return false
	}
	for _, act := range f.acts {
		if sentOn(act) && act.SKB == from.SKB && act.NetNS == from.NetNS &&
			from.Time <= act.Time && act.Time <= to.Time && reached(act, to) {
			return true
		}
	}
	return false
}

// reached reports whether to is where the fast path sent the packet, or its death on the way.
func reached(act, to *event.Event) bool {
	at := event.Place{NetNS: to.NetNS, IfIndex: to.IfIndex}
	switch {
	case Died(to):
		return to.SKB == act.SKB
	case act.Rewrite.Peer != event.Place{}:
		return at == act.Rewrite.Peer && to.SKB == act.SKB && to.Hook == event.NetifReceiveSKB
	}
	return at == event.Place{NetNS: act.NetNS, IfIndex: act.Action.To} && transmits(to)
}

// transmitted returns how many of the events at the front of a path, of which the first is where
// the fast path put the packet, belong to what it did: the device's queue, and its driver until
// the packet has left this host.
func transmitted(p Path) int {
	n := 1
	for n < len(p) && transmits(p[n-1]) {
		switch next := p[n]; {
		case Died(next) && SameDevice(p[n-1], next), Returned(next):
			return n + 1
		case p[n-1].Hook != event.NetDevQueue || next.Hook != event.NetDevStartXmit || !SameDevice(p[n-1], next):
			return n
		}
		n++
	}
	return n
}

// fastLeaf returns the leaf for what the fast path did with the packet: from where it arrived to
// where it left, without any finer parts.
func fastLeaf(from, to *event.Event) Leaf { return Leaf{Kind: trace.KindFastPath, From: from, To: to} }
