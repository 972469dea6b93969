// SPDX-License-Identifier: Apache-2.0

package ruletrace

import (
	"time"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// unsettled is for how long after a change of the rules it is not sure which of them a packet met:
// an event tells when a packet died, and the rules were taken over a moment before that is known.
const unsettled = 20 * time.Millisecond

// Explain says which rule in iptables is why a packet died in FORWARD: one of the tenant that
// sent it, or of the one that it was for. It is false if neither is a tenant, or if their rules
// do not object.
func (f *Firewall) Explain(ev *event.Event) (event.Action, bool) {
	if ev.NetNS != f.inode || ev.Depth > 0 {
		return event.Action{}, false // in a tunnel the rules see the outer packet
	}
	p, ok := packetOf(ev)
	if !ok {
		return event.Action{}, false
	}
	begin := time.Now()
	busy := !f.budget.left(begin)
	defer func() { f.budget.spent += time.Since(begin) }()
	from, to := f.way(ev.IfIndex, ev.Src.Addr(), ev.Dst.Addr())
	for _, side := range [...]struct{ tenant, origin uint32 }{{from, header.From}, {to, header.To}} {
		if side.tenant == 0 {
			continue
		}
		set, since, ok := f.rules.Rules(side.tenant, p.Family)
		if !ok {
			continue
		}
		a := event.Action{Deed: event.Firewall, Place: event.AtIPTables, Tenant: side.tenant}
		p.Words[header.Origin] = side.origin
		switch {
		case busy:
			a.Verdict, a.Reason = event.VerdictDefer, uint16(event.NotAsked)
		case f.changed(ev, since):
			a.Verdict, a.Reason = event.VerdictDefer, uint16(event.RulesChanged)
		default:
			a.Verdict, a.Reason, a.Rule = judge(set, &p, statesOf(ev))
		}
		if a.Verdict != event.VerdictPass {
			return a, true
		}
	}
	return event.Action{}, false
}

// changed reports whether the rules may not have been those that the packet met.
func (f *Firewall) changed(ev *event.Event, since time.Time) bool {
	now, err := f.now()
	if err != nil || now < ev.Time {
		return err != nil
	}
	return time.Since(since) < time.Duration(now-ev.Time)+unsettled
}

// packetOf returns what the rules can look at of an echo: everything but the type of service,
// which no event has, and the state.
func packetOf(ev *event.Event) (header.Packet, bool) {
	p := header.Packet{Family: header.V4}
	length, kind := uint32(28), uint32(8)
	proto := uint32(header.ICMP)
	if ev.Flags.Has(event.IPv6) {
		p.Family, proto, length, kind = header.V6, header.ICMPv6, 48, 128
	}
	switch ev.Type {
	case event.EchoRequest:
	case event.EchoReply:
		kind = map[uint32]uint32{8: 0, 128: 129}[kind]
	default:
		return p, false
	}
	if ev.Flags.Has(event.FirstFragment) || ev.Flags.Has(event.LaterFragment) {
		return p, false // rules see of it what is not here
	}
	p.SetAddress(header.Src0, ev.Src.Addr())
	p.SetAddress(header.Dst0, ev.Dst.Addr())
	p.Words[header.Proto], p.Words[header.Sport] = proto, kind<<8
	p.Words[header.Length] = length + uint32(ev.PayloadLen)
	p.Words[header.TTL] = uint32(ev.TTL)
	return p, true
}

// statesOf returns what connection tracking may have said of an echo: a request is never a
// reply, nor the other way round.
func statesOf(ev *event.Event) []uint32 {
	var states []uint32
	for _, s := range header.States() {
		ct, reply := header.CT(s&7), s&header.StateReply != 0
		switch {
		case ct == header.Invalid || ct == header.Untracked:
		case ev.Type == event.EchoRequest && reply, ev.Type == event.EchoReply && (!reply || ct == header.New):
			continue
		case ct == header.Related:
			continue
		}
		states = append(states, s)
	}
	return states
}

// judge says what rules say of a packet that has died, of whose state and type of service all
// values are possible, and which rule decides: pass only if that is sure.
func judge(set *ruleset.Set, p *header.Packet, states []uint32) (verdict, reason uint16, rule uint32) {
	var drop, unable *ruleset.Outcome
	var passed, several bool
	for _, tos := range typesOfService(set) {
		for _, state := range states {
			q := *p
			q.Words[header.TOS], q.Words[header.State] = tos, state
			o := set.Judge(&q)
			switch o.Verdict {
			case ruleset.Pass:
				passed = true
			case ruleset.Drop:
				several = several || drop != nil && drop.Decider != o.Decider
				drop = &o
			default:
				unable = &o
			}
		}
	}
	switch {
	case unable != nil:
		return event.VerdictDefer, uint16(event.UnknownMatch), unable.Decider
	case drop == nil:
		return event.VerdictPass, 0, 0
	case passed || several:
		return event.VerdictDefer, uint16(event.UnknownState), drop.Decider
	}
	return event.VerdictDrop, 0, drop.Decider
}

// typesOfService returns values of which each stands for all that the rules do not distinguish.
func typesOfService(set *ruleset.Set) []uint32 {
	values := []uint32{0}
	seen := map[uint32]bool{0: true}
	add := func(v uint32) {
		if v <= header.TOS.Max() && !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	for _, c := range set.Chains {
		for i := range c.Rules {
			for _, b := range c.Rules[i].Boxes {
				for _, interval := range b[header.TOS] {
					add(interval.Lo)
					add(interval.Hi + 1)
				}
			}
		}
	}
	return values
}
