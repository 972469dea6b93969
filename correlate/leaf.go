// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// leaf is the time between two events for which one device, link or namespace is
// answerable.
type leaf struct {
	kind     trace.Kind
	from, to *event.Event
	// inside are the events between, at which finer leaves begin and end.
	inside []*event.Event
}

// cut divides a path into leaves. Each begins at the event where the one before ends,
// so they tile the path whatever its events are.
func cut(p path) []leaf {
	leaves := make([]leaf, 0, len(p))
	from, begin := p.first(), 1
	for i, to := range p[1:] {
		if within(from, to) && i+2 < len(p) {
			continue
		}
		leaves = append(leaves, leaf{kind: kindOf(from, to), from: from, to: to, inside: p[begin : i+1]})
		from, begin = to, i+2
	}
	return leaves
}

// within reports whether to is a step inside a leaf that began at from: the softirq
// takes up a packet that has arrived on this device, or the packet passes a netfilter
// hook of this namespace.
func within(from, to *event.Event) bool {
	if netfilter(to) {
		return from.NetNS == to.NetNS
	}
	return to.Hook == event.NetifReceiveSKB && from.Hook.Inbound() && sameDevice(from, to)
}

// kindOf says who is answerable for the time from one event to the next. The table is
// that of docs/trace-model.md.
func kindOf(from, to *event.Event) trace.Kind {
	switch {
	case to.Hook == event.SKBCopyDatagramIovec && from.Hook.Inbound(), answers(from, to):
		return trace.KindDeliver
	case to.Type != from.Type:
		return trace.KindUnseen
	case from.Hook == event.NetDevQueue:
		return fromQueue(from, to)
	case from.Hook == event.NetDevStartXmit:
		return fromDriver(from, to)
	case from.Hook.Inbound() && from.NetNS == to.NetNS:
		return fromArrival(from, to)
	case netfilter(from) && from.NetNS == to.NetNS:
		return trace.KindSend
	}
	return trace.KindUnseen
}

// fromQueue: the packet is in the queueing discipline of a device.
func fromQueue(from, to *event.Event) trace.Kind {
	if to.Hook == event.KfreeSKB || sameDevice(from, to) {
		return trace.KindTransmit
	}
	return trace.KindUnseen
}

// fromDriver: the packet has been given to a device's driver.
func fromDriver(from, to *event.Event) trace.Kind {
	switch {
	case to.Hook.Inbound():
		return trace.KindLink
	case to.Hook == event.KfreeSKB && from.Flags.Has(event.Bridge):
		return trace.KindBridge
	case to.Hook == event.NetDevXmit, to.Hook == event.KfreeSKB:
		return trace.KindDriver
	case sameDevice(from, to):
		return trace.KindTransmit // the driver was busy and the packet was queued again
	case from.NetNS != to.NetNS:
		return trace.KindUnseen
	case !encapsulated(from) && encapsulated(to):
		return trace.KindEncapsulate
	case from.Flags.Has(event.Bridge):
		return trace.KindBridge
	}
	return trace.KindStacked
}

// fromArrival: the packet has come in on a device, and both events are in one
// namespace.
func fromArrival(from, to *event.Event) trace.Kind {
	switch {
	case encapsulated(from) && !encapsulated(to):
		return trace.KindDecapsulate
	case switched(from, to):
		return trace.KindBridge
	case to.Hook.Inbound() && sameDevice(from, to):
		return trace.KindSoftirq // the last that was seen of it
	case to.Hook.Inbound():
		return trace.KindStacked
	}
	return trace.KindForward
}

// answers reports whether to is the reply that the kernel makes of a request which has
// arrived. It does so while it handles the request, which it frees only afterwards:
// the reply's first event is the first sign that the request has been taken.
func answers(from, to *event.Event) bool {
	return to.Type != from.Type && arrived(from) && from.NetNS == to.NetNS && from.Time <= to.Time
}

// switched reports whether a bridge took the packet from one port to another, or up
// to itself.
func switched(from, to *event.Event) bool {
	if !from.Flags.Has(event.BridgePort) {
		return false
	}
	return to.Flags.Has(event.BridgePort) && !sameDevice(from, to) || to.Flags.Has(event.Bridge) && to.Hook.Inbound() ||
		to.Hook == event.KfreeSKB && (to.Flags.Has(event.BridgePort) || to.Flags.Has(event.Bridge))
}
