// SPDX-License-Identifier: Apache-2.0

package packet

import "github.com/dwelltrace/dwell/correlate/event"

// apart reports whether a packet that comes into this host's sight with ev, in a buffer of
// its own, is another than those seen before: a duplicate, which comes in where the first
// did and has passed no more routers; or, with several, another host's.
func (t tree) apart(ev *event.Event, several bool) bool {
	if len(t) == 0 {
		return true
	}
	if several && t.last(func(n *node) bool { return n.ev.Src == ev.Src }) < 0 {
		return true
	}
	return t.last(func(n *node) bool {
		return n.parent < 0 && Enters(n.ev) && SameDevice(n.ev, ev) && n.ev.TTL <= ev.TTL
	}) >= 0
}

// sentAway returns the index of the packet that a device took which leads away from this
// host, and that may have come back, or -1.
func (t tree) sentAway(f *Follower) int {
	return t.last(func(n *node) bool { return n.driven() && n.kids == 0 && n.xmit != nil && f.LeadsAway(n.ev) })
}

// cloned returns the index of the event after which a packet made here was copied to the
// buffer in which ev sees it, before anything received it; or -1 if it is no copy. A queueing
// discipline makes one (netem), or traffic control that mirrors what is to be queued, or the
// driver of a device that gives the packet to several others (bridge, bond).
func (t tree) cloned(ev *event.Event) int {
	if ev.Hook == event.NetDevStartXmit {
		return t.last(func(n *node) bool { return n.ev.Hook == event.NetDevQueue && SameDevice(n.ev, ev) })
	}
	here := t.last(func(n *node) bool { return n.ev.NetNS == ev.NetNS })
	if ev.Hook == event.NetDevQueue && here >= 0 && t[here].queued() && !SameDevice(t[here].ev, ev) && t[here].ev.CPU == ev.CPU {
		return here
	}
	return t.last(func(n *node) bool {
		return n.driven() && n.xmit == nil && n.ev.NetNS == ev.NetNS && n.ev.CPU == ev.CPU && !SameDevice(n.ev, ev)
	})
}

// queued reports whether the packet is, for all that is known, still to be queued.
func (n *node) queued() bool { return n.ev.Hook == event.NetDevQueue && n.kids == 0 }

// routed returns the index of the event after which a virtual machine took the packet that it
// sends on with ev, or -1. The devices of both are stacked on others (macvtap), so that nothing
// tells when it took the packet.
func (t tree) routed(ev *event.Event, f *Follower) int {
	if !f.Guest(ev) {
		return -1
	}
	return t.last(func(n *node) bool {
		return n.kids == 0 && Inbound(n.ev) && n.ev.TTL > ev.TTL && (SameDevice(n.ev, ev) || f.Stacked(n.ev, ev))
	})
}
