// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Explain says what becomes of a packet, written as `dwell firewall explain` takes it.
func (m *Manager) Explain(ctx context.Context, id, packet string) (*Explanation, error) {
	probe, err := header.ParseProbe(packet)
	if err != nil {
		return nil, &CommandError{Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t, st, err := m.tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	probe.Place(owns(st))
	e := &Explanation{Packet: probe.Full(), Path: []string{}}
	n := t.plans[probe.Family]
	if n == nil {
		e.Verdict, e.Place = "pass", "iptables"
		e.Reason = fmt.Sprintf("The tenant has no rules for IPv%d.", probe.Family)
		return e, nil
	}
	m.count(ctx, t, m.reading())
	t.explain(n, &probe.Packet, e)
	return e, nil
}

// owns reports whether a device is one by which only the tenant's packets come and go.
func owns(st *scope.Tenant) func(string) bool {
	return func(name string) bool {
		for _, d := range st.Devices {
			if d.Name == name {
				return true
			}
		}
		return false
	}
}

func (t *kept) explain(n *plan, p *header.Packet, e *Explanation) {
	o := n.set.Judge(p)
	for _, id := range o.Rules {
		if chain, i := n.find(id); chain != "" {
			e.Path = append(e.Path, fmt.Sprintf("%s %d", chain, i+1))
		}
	}
	if chain, i := n.find(o.Decider); chain != "" {
		r := t.ruleListing(n, chain, i)
		e.Decider, e.Chain = &r, chain
	} else {
		e.Chain = base
	}
	switch o.Verdict {
	case ruleset.Pass:
		e.Verdict = "pass"
	case ruleset.Drop:
		e.Verdict = "drop"
	default:
		e.Verdict, e.Place = "unknown", "iptables"
		e.Reason = sentence("only iptables can tell: " + n.reasons[o.Decider])
		return
	}
	e.Place, e.Reason = n.where(p, o.Verdict)
	e.Reason = sentence(e.Reason)
}

// where says where a packet is decided that the rules decide.
func (n *plan) where(p *header.Packet, v ruleset.Verdict) (place, reason string) {
	if n.why != "" {
		return "iptables", "iptables alone judges, because " + n.why
	}
	if p.Words[header.Origin] == header.To {
		return "forward", "packets to the tenant are judged in FORWARD, as iptables sees them"
	}
	if n.ingress == nil {
		return "forward", "nothing is decided at the ports, because " + n.late
	}
	known := v == ruleset.Drop && header.CT(p.Words[header.State]&7) == header.Established
	if _, early := n.ingress.Judge(p); early.Verdict != v || known {
		return "forward", "it depends on what is only known in FORWARD, such as the connection's state or a translated destination"
	}
	if v == ruleset.Pass {
		return "tc", "the program at the port lets it pass, and the rules are not asked again in FORWARD"
	}
	if n.premises.NoDrop != "" {
		return "forward", "nothing is dropped at the ports, because " + n.premises.NoDrop
	}
	switch p.Words[header.Proto] {
	case header.TCP, header.UDP:
		return "tc", "the program at the port drops it, unless there is a connection that it belongs to: then it is dropped in FORWARD"
	case header.ICMP, header.ICMPv6:
		if n.premises.ICMPState != "" || n.looksAtState() {
			return "forward", "ICMP is not dropped at the ports while rules look at the state of connections"
		}
		return "tc", "the program at the port drops an echo request; other ICMP is dropped in FORWARD"
	}
	return "forward", "connections of this protocol cannot be looked for at the ports"
}

// find returns the chain of the rule with the ID, and its index there; "" if there is none.
func (n *plan) find(id uint32) (string, int) {
	if id == 0 {
		return "", 0
	}
	for _, c := range n.text.chains.List {
		for i, r := range c.Rules {
			if r.ID == id {
				return c.Name, i
			}
		}
	}
	return "", 0
}
