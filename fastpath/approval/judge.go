// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Judge decides about a flow, of which these are the two directions.
func (p *Policy) Judge(forth, back *flow.Flow) Decision {
	if p.closed != "" {
		return refused(p.closed)
	}
	for _, one := range []*flow.Flow{forth, back} {
		d := p.direction(one)
		if d == nil {
			return refused("its tenant is not known")
		}
		for _, ask := range []func() string{d.others, d.spoofed, d.ownRules, d.foreignRules, d.tunnel} {
			if why := ask(); why != "" {
				return refused(why)
			}
		}
	}
	return Decision{OK: true}
}

// direction is one direction of a flow.
type direction struct {
	*Policy
	flow   *flow.Flow
	family header.Family
	// from and to are the tenants by whose ports it enters and leaves, or nil.
	from, to *scope.Tenant
	// numbers are those of its tenants.
	numbers []uint32
}

// direction finds out whose a flow is; it returns nil if that is not known.
func (p *Policy) direction(f *flow.Flow) *direction {
	d := &direction{Policy: p, flow: f, family: header.V6}
	if f.Key.Src.Is4() {
		d.family = header.V4
	}
	d.from, d.to = p.ofPort(f.Key.IfIndex), p.ofPort(f.Rewrite.Out)
	for _, slot := range []uint16{f.Slot, f.Other} {
		if slot == 0 {
			continue
		}
		number, known := p.slots[slot]
		if !known {
			return nil
		}
		d.numbers = append(d.numbers, number)
	}
	if len(d.numbers) == 0 || d.from == nil && d.to == nil {
		return nil
	}
	return d
}

// ofPort returns the tenant with the port, or nil.
func (p *Policy) ofPort(index int) *scope.Tenant {
	for i := range p.host.Tenants {
		t := &p.host.Tenants[i]
		if slices.ContainsFunc(t.Ports, func(port scope.Port) bool { return port.Index == index }) {
			return t
		}
	}
	return nil
}

// others says that a port is one of a tenant that the flow is not known to be of.
func (d *direction) others() string {
	for _, t := range []*scope.Tenant{d.from, d.to} {
		if t != nil && !slices.Contains(d.numbers, t.Number) {
			return "its ports are now another tenant's"
		}
	}
	return ""
}

// spoofed says that the flow's address inside a tenant is not the tenant's. A tenant that names prefixes of one
// family has said nothing about addresses of the other.
func (d *direction) spoofed() string {
	for _, end := range []struct {
		t *scope.Tenant
		a netip.Addr
	}{{d.from, d.flow.Key.Src}, {d.to, d.flow.Rewrite.After.Dst}} {
		if end.t == nil {
			continue
		}
		a, named := end.a.WithZone(""), false
		own := slices.ContainsFunc(end.t.Prefixes, func(n netip.Prefix) bool {
			n = unmapped(n)
			named = named || n.Addr().Is4() == a.Is4()
			return n.Contains(a)
		})
		if named && !own {
			return fmt.Sprintf("%s is not one of the tenant's own addresses (prefixes)", end.a)
		}
	}
	return ""
}

// unmapped returns an IPv4 prefix in place of one that is written as IPv6.
func unmapped(p netip.Prefix) netip.Prefix {
	const before = 96 // bits of ::ffff:0:0
	if p.Addr().Is4In6() && p.Bits() >= before {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-before)
	}
	return p
}

// packets returns the packets of the flow, with an address and port each that they have somewhere.
func (d *direction) packets(src, dst flow.Tuple, states ...uint32) header.Box {
	t := flow.Tuple{Proto: d.flow.Key.Proto, Src: src.Src, Sport: src.Sport, Dst: dst.Dst, Dport: dst.Dport}
	return packetsOf(d.family, t, d.flow.Rewrite.TOS, states)
}

// packetsOf returns the fast packets of a tuple.
func packetsOf(family header.Family, t flow.Tuple, tos uint8, states []uint32) header.Box {
	var p header.Packet
	p.Family = family
	p.SetAddress(header.Src0, t.Src)
	p.SetAddress(header.Dst0, t.Dst)
	p.Words[header.Proto] = uint32(t.Proto)
	p.Words[header.Sport], p.Words[header.Dport] = uint32(t.Sport), uint32(t.Dport)
	if t.Proto == header.ICMP || t.Proto == header.ICMPv6 {
		p.Words[header.Sport], p.Words[header.Dport] = uint32(t.Dport), 0
	}
	var b header.Box
	for w := header.Proto; w <= header.Dport; w++ {
		b[w] = header.Values(p.Words[w])
	}
	b[header.Flags] = header.Values(0)
	least := uint32(20 + 8)
	if t.Proto == header.TCP {
		b[header.Flags], least = tcpFlags(), 20+20
	}
	if family == header.V6 {
		least += 20
	}
	b[header.TOS] = header.Range(uint32(tos)&^3, uint32(tos)|3)
	b[header.Length] = header.Range(least, header.Length.Max())
	b[header.TTL] = lifetimes()
	b[header.State] = header.Values(states...)
	return b
}

// states are what connection tracking says of the flow's packets: one for each possibility.
func (d *direction) states() []uint32 {
	if !d.flow.Tracked {
		return statesOf(untracked)
	}
	before, after := &d.flow.Key.Tuple, &d.flow.Rewrite.After
	src, dst := before.Src != after.Src, before.Dst != after.Dst
	echo := before.Proto == header.ICMP || before.Proto == header.ICMPv6
	if !echo {
		src, dst = src || before.Sport != after.Sport, dst || before.Dport != after.Dport
	}
	bits := uint32(0)
	if d.flow.Reply { // what was translated is translated back
		src, dst, bits = dst, src, header.StateReply
	}
	src = src || echo && before.Sport != after.Sport // the identifier is part of the source
	if src {
		bits |= header.StateSNAT
	}
	if dst {
		bits |= header.StateDNAT
	}
	return []uint32{header.StateOf(header.Established, bits)}
}

// filtered reports whether the flow's packets pass iptables.
func (d *direction) filtered() bool { return d.flow.Rewrite.Routed || d.bridged[d.family] }

// ownRules asks the tenants' own rules, which see packets in FORWARD: translated back to the destination, and not
// yet from the source.
func (d *direction) ownRules() string {
	if !d.filtered() {
		return ""
	}
	for _, number := range d.numbers {
		rules, some := d.own[ownKey{number, d.family}]
		if !some {
			continue
		}
		origin := header.To
		if d.from != nil && d.from.Number == number {
			origin = header.From
		}
		for _, state := range d.states() {
			b := d.packets(d.flow.Key.Tuple, d.flow.Rewrite.After, state)
			b[header.Origin] = header.Values(origin)
			if why := rules.ask(&b); why != "" {
				return why
			}
		}
	}
	return ""
}

// ask says why the rules do not let all packets pass.
func (o *own) ask(b *header.Box) string {
	if o.forward != nil {
		may := o.forward.Verdicts(b)
		switch {
		case may[ruleset.Defer]: // it depends on which rule cannot be judged
		case !may[ruleset.Drop]:
			return ""
		case !may[ruleset.Pass]:
			return "the tenant's own rules drop it"
		default:
			return "the tenant's own rules treat its packets differently by length, TTL, ECN or TCP flags"
		}
	}
	same := o.rules.JudgeMany(&ruleset.Many{Box: *b})
	switch {
	case same.Varies && same.Rule == 0:
		return "there are too many ways through the tenant's own rules"
	case same.Varies:
		return fmt.Sprintf("the tenant's own rule %d may treat its packets differently, or must see each", same.Rule)
	case same.Verdict == ruleset.Drop:
		return "the tenant's own rules drop it"
	}
	return "" // or it is not known which verdict it is, but it is the same for all, and those before have passed
}

// foreignRules asks the rules of others.
func (d *direction) foreignRules() string {
	class := tracked
	if !d.flow.Tracked {
		class = untracked
	}
	paths := d.paths[pathKey{d.family, class}]
	for i := range paths {
		p := &paths[i]
		if p.layer == premises.OfIP && !d.filtered() || !d.on(p.devices) {
			continue
		}
		for _, state := range d.states() {
			if why := d.pass(p, state); why != "" {
				return why
			}
		}
	}
	return ""
}

// pass asks the rules of a path, with all addresses that packets may have there.
func (d *direction) pass(p *path, state uint32) string {
	before, after := d.flow.Key.Tuple, d.flow.Rewrite.After
	srcs, dsts := []flow.Tuple{before}, []flow.Tuple{before}
	if after.Src != before.Src || after.Sport != before.Sport {
		srcs = append(srcs, after)
	}
	if after.Dst != before.Dst || after.Dport != before.Dport {
		dsts = append(dsts, after)
	}
	if p.layer == premises.OfIP {
		switch p.point {
		case premises.Prerouting:
			srcs = srcs[:1]
		case premises.Forward:
			srcs, dsts = srcs[:1], dsts[len(dsts)-1:]
		case premises.Postrouting:
			dsts = dsts[len(dsts)-1:]
		}
	}
	for _, src := range srcs {
		for _, dst := range dsts {
			b := d.packets(src, dst, state)
			if why := d.ask(p, &b); why != "" {
				return why
			}
		}
	}
	return ""
}

// ask says which rule of a path may treat packets differently.
func (d *direction) ask(p *path, b *header.Box) string {
	same := p.rules.JudgeMany(&ruleset.Many{Box: *b, May: func(id uint32) bool { return d.may(p.notes[id]) }})
	switch note := p.notes[same.Rule]; {
	case !same.Varies:
		return ""
	case note == nil:
		return "there are too many ways through the rules of " + p.where
	case note.Does != "":
		return note.Rule + " " + note.Does
	default:
		return note.Rule + " looks at what is not the same for all of its packets (length, TTL, ECN or TCP flags)"
	}
}
