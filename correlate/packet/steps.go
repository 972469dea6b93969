// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// kindOf says who is answerable for the time from one event of a packet to the next. The
// table is that of docs/trace-model.md.
func (f *Follower) kindOf(from, to *event.Event) trace.Kind {
	switch {
	case Read(from):
		return f.fromProgram(from, to)
	case to.Hook.Terminal() && !Died(to):
		return f.taken(from, to)
	case from.Hook == event.NetDevQueue:
		return fromQueue(from, to)
	case from.Hook == event.NetDevStartXmit:
		return f.fromDriver(from, to)
	case Inbound(from):
		return f.fromArrival(from, to)
	case netfilter(from) && from.NetNS == to.NetNS:
		return trace.KindSend
	}
	return trace.KindUnseen
}

// fromProgram: a program has read the packet from a packet socket.
func (f *Follower) fromProgram(from, to *event.Event) trace.Kind {
	if from.NetNS == to.NetNS && transmits(to) {
		return trace.KindProcess
	}
	return trace.KindUnseen
}

// taken: a process takes the packet.
func (f *Follower) taken(from, to *event.Event) trace.Kind {
	switch {
	case !Inbound(from):
		return trace.KindUnseen
	case from.NetNS == to.NetNS, f.Stacked(from, to):
		return trace.KindDeliver
	}
	return trace.KindRedirect
}

// fromQueue: the packet is in the queueing discipline of a device.
func fromQueue(from, to *event.Event) trace.Kind {
	switch {
	case Died(to), SameDevice(from, to):
		return trace.KindTransmit
	case sameBuffer(from, to) && from.NetNS == to.NetNS:
		return trace.KindRedirect // by an action of the queueing discipline
	case from.NetNS == to.NetNS && transmits(to):
		return trace.KindMirror
	}
	return trace.KindUnseen
}

// fromDriver: the packet has been given to a device's driver.
func (f *Follower) fromDriver(from, to *event.Event) trace.Kind {
	switch {
	case peers(from, to):
		return trace.KindLink
	case Died(to) && from.Flags.Has(event.Bridge):
		return trace.KindBridge
	case Died(to), Returned(to):
		return trace.KindDriver
	case from.Depth < to.Depth:
		return trace.KindEncapsulate
	case to.Hook.Inbound():
		return f.across(from, to)
	case to.Flags.Has(event.PacketSocket) && Made(to):
		return trace.KindProcess
	case SameDevice(from, to):
		return trace.KindTransmit // the driver was busy and the packet was queued again
	case from.Flags.Has(event.Bridge) && from.NetNS == to.NetNS:
		return trace.KindBridge
	case movers[f.device(from).Type] && !f.Stacked(from, to):
		return trace.KindRedirect
	case from.NetNS == to.NetNS, sameBuffer(from, to):
		return trace.KindStacked
	}
	return trace.KindUnseen
}

// peers reports whether a packet that is given to one device's driver arrives on the
// other by the kernel's own account: they are the two ends of a pair, or both are the
// loopback device.
func peers(from, to *event.Event) bool {
	if !to.Hook.Inbound() {
		return false
	}
	if to.Flags.Has(event.Loopback) {
		return SameDevice(from, to)
	}
	return to.Flags.Has(event.Paired) && to.Peer == event.Place{NetNS: from.NetNS, IfIndex: from.IfIndex}
}

// across: the packet was given to a device's driver and came in on a device that is not
// its peer.
func (f *Follower) across(from, to *event.Event) trace.Kind {
	is, encrypts := f.tunnel(from)
	arrives, _ := f.tunnel(to)
	switch {
	case is && arrives && encrypts:
		return trace.KindEncrypted
	case is && arrives:
		return trace.KindTunnel
	case from.Flags.Has(event.Bridge) && to.Flags.Has(event.BridgePort) && from.NetNS == to.NetNS:
		return trace.KindBridge
	case f.Stacked(from, to):
		return trace.KindStacked
	case f.LeadsAway(from) && (!sameBuffer(from, to) || f.device(from).Type == "tun"):
		return trace.KindBeyond // what reads a packet from a tap frees the buffer
	}
	return f.moved(from, to)
}

// moved: nothing is known that connects the device to whose driver the packet was given
// with the one on which it came in. If it is the driver of a kind that moves packets, that
// did; if both are of one kind, that is likely a tunnel's.
func (f *Follower) moved(from, to *event.Event) trace.Kind {
	switch typ := f.device(from).Type; {
	case movers[typ]:
		return trace.KindRedirect
	case typ != "" && typ == f.device(to).Type:
		return trace.KindTunnel
	}
	return trace.KindUnseen
}

// fromArrival: the packet has come in on a device, or was seen in netfilter after that.
func (f *Follower) fromArrival(from, to *event.Event) trace.Kind {
	switch {
	case from.Depth > to.Depth && to.Hook.Inbound():
		return trace.KindDecapsulate
	case Made(to) && !sameBuffer(from, to) && f.Guest(to):
		return trace.KindBeyond
	case from.NetNS != to.NetNS && f.Stacked(from, to):
		return trace.KindStacked
	case from.NetNS != to.NetNS:
		return trace.KindRedirect
	case switched(from, to):
		return trace.KindBridge
	case !to.Hook.Inbound():
		return f.sent(from, to)
	case SameDevice(from, to):
		return trace.KindSoftirq // the last that was seen of it
	case f.redirected(from, to):
		return trace.KindRedirect
	}
	return trace.KindStacked
}

// redirected reports whether a packet that came in on one device and then on another was
// put there by a program or a rule: neither is stacked on the other as far as is known.
func (f *Follower) redirected(from, to *event.Event) bool {
	known := f.device(from).Type != "" || f.device(to).Type != ""
	return known && !f.Stacked(from, to)
}

// sent: a packet that has come in is sent on, or dies in the stack of the namespace. Routing
// takes one from its time to live, which a redirection does not.
func (f *Follower) sent(from, to *event.Event) trace.Kind {
	switch {
	case !transmits(to), from.Depth != to.Depth, from.TTL == 0:
		return trace.KindForward
	case from.Encapsulated() && to.Hook == event.NetDevQueue:
		return trace.KindForward // the time to live is not that of the packet that was routed
	case to.Hook == event.NetDevStartXmit:
		return trace.KindRedirect // without a queue, as XDP does
	case from.TTL != to.TTL:
		return trace.KindForward
	case sameBuffer(from, to):
		return trace.KindRedirect
	}
	return trace.KindMirror
}

// switched reports whether a bridge took the packet from one port to another, or up
// to itself. The port may be stacked on the device where the packet was seen: one of a
// bond or a VLAN takes it up without another hook.
func switched(from, to *event.Event) bool {
	up := to.Flags.Has(event.Bridge) && to.Hook.Inbound()
	port := to.Flags.Has(event.BridgePort) && (transmits(to) || !SameDevice(from, to))
	if !from.Flags.Has(event.BridgePort) {
		return !SameDevice(from, to) && !netfilter(from) && (up || port && transmits(to) && !from.Flags.Has(event.Bridge) && from.TTL == to.TTL)
	}
	return up || port || Died(to) && (to.Flags.Has(event.BridgePort) || to.Flags.Has(event.Bridge))
}
