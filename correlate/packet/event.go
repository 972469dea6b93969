// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"cmp"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// ByTime orders events: by time, and where two have the same, in the order in which
// a packet passes the hooks, so that the order never depends on who reported first.
func ByTime(a, b *event.Event) int {
	if a.Time != b.Time {
		return cmp.Compare(a.Time, b.Time)
	}
	return cmp.Or(
		cmp.Compare(a.Place(), b.Place()),
		cmp.Compare(a.NetNS, b.NetNS),
		cmp.Compare(a.IfIndex, b.IfIndex),
		cmp.Compare(a.SKB, b.SKB),
	)
}

// Made reports whether ev can be the first that is seen of a packet made here: it is on
// its way out in a namespace that has not received it, or passes the netfilter hook of
// packets made here.
func Made(ev *event.Event) bool {
	if netfilter(ev) {
		return ev.Hook == event.NetfilterFirst && event.NetfilterHook(ev.Code) == event.NetfilterLocalOut
	}
	return transmits(ev) && !ev.Flags.Has(event.Received)
}

// Born reports whether a packet was made here, given the first event that was seen of it: it
// was sent, or died before that.
func Born(first *event.Event) bool { return Made(first) || stillborn(first) }

// Enters reports whether a packet can have come into this host's sight with ev: it arrives
// on a device, or the stack takes it up from one that has no hook of arrival, as tap and
// macvtap have none. What is given to one end of a pair arrives on the other, so that if
// that was not seen, the packet came there before.
func Enters(ev *event.Event) bool {
	return ev.Hook.Arrival() || ev.Hook.Inbound() && !ev.Flags.Has(event.Paired)
}

// Inbound reports whether the packet at ev has come into the namespace and may be taken
// there, or sent on.
func Inbound(ev *event.Event) bool {
	if !netfilter(ev) {
		return ev.Hook.Inbound()
	}
	switch event.NetfilterHook(ev.Code) {
	case event.NetfilterPreRouting, event.NetfilterLocalIn, event.NetfilterForward:
		return true
	}
	return false
}

// Taken reports whether a process takes the packet from a socket for ICMP.
func Taken(ev *event.Event) bool {
	return ev.Hook == event.SKBCopyDatagramIovec && !ev.Flags.Has(event.PacketSocket)
}

// Read reports whether a process reads the packet, or a copy, from a packet socket.
func Read(ev *event.Event) bool {
	return ev.Hook == event.SKBCopyDatagramIovec && ev.Flags.Has(event.PacketSocket)
}

// Driven reports whether a driver is given the packet that may bring it anywhere: not a bridge's,
// which only gives it to its ports.
func Driven(ev *event.Event) bool {
	return ev.Hook == event.NetDevStartXmit && !ev.Flags.Has(event.Bridge)
}

// Died reports whether the packet, or a copy, was dropped.
func Died(ev *event.Event) bool { return ev.Hook == event.KfreeSKB }

// Returned reports whether ev is the return of a driver that was given the packet.
func Returned(ev *event.Event) bool { return ev.Hook == event.NetDevXmit }

// InStack reports whether the packet was, after ev, with the network stack of a namespace:
// not in a device's queue, nor with a driver, nor at its end. It may wait there for the
// address of a neighbour.
func InStack(ev *event.Event) bool {
	return !transmits(ev) && !Returned(ev) && !ev.Hook.Terminal()
}

// Continues reports whether ev can be what happened next to the buffer after last: not
// if it was freed or taken, and a packet made here was not received before.
func Continues(last, ev *event.Event) bool {
	switch {
	case last.Hook.Terminal(), last.Hook == event.NetDevStartXmit && elsewhere(last, ev):
		return false
	case !Made(ev), ev.SKB == 0, netfilter(last):
		return true
	case last.Hook == event.NetDevQueue:
		return ev.Hook == event.NetDevStartXmit && SameDevice(last, ev)
	}
	return last.Hook == event.NetDevStartXmit
}

// elsewhere reports whether ev cannot be what happened next to a buffer that was given to a
// driver: it has come out of another pair of devices, or a socket has it. The buffer was
// freed, and another packet has it now.
func elsewhere(sent, ev *event.Event) bool {
	if ev.Hook.Arrival() && ev.Flags.Has(event.Paired) {
		return ev.Peer != event.Place{NetNS: sent.NetNS, IfIndex: sent.IfIndex}
	}
	return ev.Hook == event.SKBCopyDatagramIovec
}

// stillborn reports whether ev is a packet's death before any device's queue had it: its
// own namespace's filter does not let it out, or the next hop does not answer.
func stillborn(ev *event.Event) bool {
	return Died(ev) && !ev.Flags.Has(event.Received) && !ev.Encapsulated()
}

// netfilter reports whether ev was seen at a netfilter hook.
func netfilter(ev *event.Event) bool {
	return ev.Hook.CodeKind() == event.CodeNetfilterHook
}

// transmits reports whether a device is given the packet at ev: its queue or its driver.
func transmits(ev *event.Event) bool {
	return ev.Hook == event.NetDevQueue || ev.Hook == event.NetDevStartXmit
}

// SameDevice reports whether two events were seen on one device.
func SameDevice(a, b *event.Event) bool { return a.IfIndex == b.IfIndex && a.NetNS == b.NetNS }

// sameBuffer reports whether the packet was in one buffer at two events.
func sameBuffer(a, b *event.Event) bool { return a.SKB == b.SKB && a.SKB != 0 }

// place returns the device on which ev was seen.
func place(ev *event.Event) trace.Place { return trace.Place{NetNS: ev.NetNS, Index: ev.IfIndex} }
