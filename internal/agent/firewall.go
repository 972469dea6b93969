// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Firewall is what an agent asks of the firewalls of tenants.
type Firewall interface {
	correlate.Rules
	sharer
	// Explain says which rule in iptables is why the packet died that ev says has died in
	// FORWARD, and false if it was no tenant's or if that cannot be told at all. It must answer
	// at once.
	Explain(ev *event.Event) (event.Action, bool)
}

// netfilterDrop is the drop reason of what a rule of iptables or nft dropped.
const netfilterDrop = "NETFILTER_DROP"

// blamer finds, for packets that netfilter drops and of which no program says why, the rule of
// a tenant that is why.
//
// A packet passes the chains of one hook on one CPU, on which meanwhile no other packet passes
// any. So what was seen last on the CPU says where the packet was.
type blamer struct {
	firewall Firewall
	names    correlate.Resolver
	// cpus is what was last seen, by CPU.
	cpus []passing
	// timed are the namespaces of which netfilter's hooks have been seen.
	timed map[uint32]bool
	event event.Event
}

// passing is a packet in the chains of netfilter.
type passing struct {
	skb uint64
	// forward is set while it is in FORWARD.
	forward bool
	// judged is set if a program there has said which rule drops it.
	judged bool
}

func newBlamer(f Firewall, names correlate.Resolver) *blamer {
	if f == nil {
		return nil
	}
	return &blamer{firewall: f, names: names, timed: map[uint32]bool{}}
}

// see takes an event, and returns another to be put before it if it says that a packet died because
// of a tenant's rule in iptables. That is valid until the next call.
func (b *blamer) see(ev *event.Event) *event.Event {
	if b == nil {
		return nil
	}
	switch {
	case ev.Hook == event.NetfilterFirst:
		b.timed[ev.NetNS] = true
		*b.at(ev) = passing{skb: ev.SKB, forward: event.NetfilterHook(ev.Code) == event.NetfilterForward}
	case ev.Hook == event.NetfilterLast:
		*b.at(ev) = passing{}
	case ev.Hook.Acts():
		b.acted(ev)
	case ev.Hook.CodeKind() == event.CodeDropReason:
		return b.died(ev)
	}
	return nil
}

// at returns what was last seen on the event's CPU.
func (b *blamer) at(ev *event.Event) *passing {
	for len(b.cpus) <= int(ev.CPU) {
		b.cpus = append(b.cpus, passing{})
	}
	return &b.cpus[ev.CPU]
}

// acted notes what a program in FORWARD has said of the packet.
func (b *blamer) acted(ev *event.Event) {
	if ev.Action.Deed != event.Firewall || ev.Action.Place != event.AtForward {
		return
	}
	p := b.at(ev)
	if p.skb != ev.SKB {
		*p = passing{skb: ev.SKB, forward: true}
	}
	p.judged = p.judged || ev.Action.Verdict == event.VerdictDrop
}

// died returns why a packet died, or nil.
func (b *blamer) died(ev *event.Event) *event.Event {
	p := b.at(ev)
	seen := *p
	if seen.skb == ev.SKB {
		*p = passing{}
	} else {
		seen = passing{}
	}
	timed := b.timed[ev.NetNS]
	switch {
	case seen.judged, timed && !seen.forward:
		return nil
	case b.names.DropReason(ev.Code) != netfilterDrop, !b.names.NetNS(ev.NetNS).Hypervisor:
		return nil
	}
	action, ok := b.firewall.Explain(ev)
	if !ok {
		return nil
	}
	if !timed && !seen.forward && action.Verdict == event.VerdictDrop {
		action.Verdict, action.Reason = event.VerdictDefer, uint16(event.UnknownHook)
	}
	b.event = *ev
	b.event.Hook, b.event.Code, b.event.Action = event.Acted, 0, action
	b.event.Flags, b.event.Peer = ev.Flags&^event.Paired, event.Place{}
	return &b.event
}
