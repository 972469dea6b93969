// SPDX-License-Identifier: Apache-2.0

package correlate

import "github.com/dwelltrace/dwell/correlate/event"

// netfilter reports whether ev was seen at a netfilter hook.
func netfilter(ev *event.Event) bool {
	return ev.Hook.CodeKind() == event.CodeNetfilterHook
}

// arrived reports whether a packet at ev has come into the namespace and may be taken
// there.
func arrived(ev *event.Event) bool {
	return ev.Hook.Inbound() || ev.Hook == event.NetfilterLast && event.NetfilterHook(ev.Code) == event.NetfilterLocalIn
}

// originates reports whether ev can be the first that is seen of a packet made here: it
// is queued for transmission in a namespace that has not received it, or passes the
// netfilter hook of packets made here.
func originates(ev *event.Event) bool {
	if ev.Encapsulated() {
		return false
	}
	if ev.Hook == event.NetfilterFirst {
		return event.NetfilterHook(ev.Code) == event.NetfilterLocalOut
	}
	return ev.Hook == event.NetDevQueue && !ev.Flags.Has(event.Received)
}

// stillborn reports whether ev is a packet's death before any device's queue had it: its
// own namespace's filter does not let it out, or the next hop does not answer.
func stillborn(ev *event.Event) bool {
	return ev.Hook == event.KfreeSKB && !ev.Flags.Has(event.Received) && !encapsulated(ev)
}

// begins reports whether a journey on this host can begin with ev: the packet is made
// here, or arrives, or dies where it was made.
func begins(ev *event.Event) bool {
	return ev.Hook.Arrival() || originates(ev) || stillborn(ev)
}

func encapsulated(ev *event.Event) bool { return ev.Encapsulated() }

// sameDevice reports whether two events were seen on one device.
func sameDevice(a, b *event.Event) bool { return a.IfIndex == b.IfIndex && a.NetNS == b.NetNS }
