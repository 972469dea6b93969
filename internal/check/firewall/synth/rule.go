// SPDX-License-Identifier: Apache-2.0

package synth

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Rule is a rule that both iptables and package ruleset can be given.
type Rule struct {
	Chain string
	// Source and Destination are not valid if any will do.
	Source, Destination netip.Prefix
	// Proto is 0 if any will do. Ports are of TCP and UDP only, and there are 15 at most, of which a range
	// counts as two.
	Proto        uint8
	Sport, Dport header.Set
	// States is nil if any will do.
	States []header.CT
	// Action is Accept, Deny, Return, Jump, Goto or Continue.
	Action ruleset.Action
	Target string
}

// Box returns the packets that the rule matches.
func (r *Rule) Box() header.Box {
	var b header.Box
	if r.Source.IsValid() {
		b = header.Prefix(header.Src0, r.Source)
	}
	if r.Destination.IsValid() {
		dst := header.Prefix(header.Dst0, r.Destination)
		b, _ = b.Intersect(&dst)
	}
	if r.Proto != 0 {
		b[header.Proto] = header.Values(uint32(r.Proto))
	}
	b[header.Sport], b[header.Dport] = r.Sport, r.Dport
	if r.States != nil {
		b[header.State] = states(r.States)
	}
	return b
}

func states(of []header.CT) header.Set {
	var values []uint32
	for _, v := range header.States() {
		for _, ct := range of {
			if v%header.StateReply == uint32(ct) {
				values = append(values, v)
			}
		}
	}
	return header.Values(values...)
}

// Args returns the rule as arguments of iptables, from -A on.
func (r *Rule) Args() []string {
	args := []string{"-A", r.Chain}
	add := func(more ...string) { args = append(args, more...) }
	if r.Source.IsValid() {
		add("-s", r.Source.String())
	}
	if r.Destination.IsValid() {
		add("-d", r.Destination.String())
	}
	if r.Proto != 0 {
		add("-p", map[uint8]string{header.TCP: "tcp", header.UDP: "udp", header.ICMP: "icmp", header.ICMPv6: "ipv6-icmp"}[r.Proto])
	}
	if r.Sport != nil {
		add("-m", "multiport", "--sports", ports(r.Sport))
	}
	if r.Dport != nil {
		add("-m", "multiport", "--dports", ports(r.Dport))
	}
	if r.States != nil {
		add("-m", "conntrack", "--ctstate", names(r.States))
	}
	switch r.Action {
	case ruleset.Accept:
		add("-j", "ACCEPT")
	case ruleset.Deny:
		add("-j", "DROP")
	case ruleset.Return:
		add("-j", "RETURN")
	case ruleset.Jump:
		add("-j", r.Target)
	case ruleset.Goto:
		add("-g", r.Target)
	}
	return args
}

func ports(s header.Set) string {
	var list []string
	for _, in := range s {
		if in.Lo == in.Hi {
			list = append(list, fmt.Sprint(in.Lo))
		} else {
			list = append(list, fmt.Sprintf("%d:%d", in.Lo, in.Hi))
		}
	}
	return strings.Join(list, ",")
}

func names(of []header.CT) string {
	var list []string
	for _, ct := range of {
		list = append(list, [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"}[ct])
	}
	return strings.Join(list, ",")
}

// Rules are the rules of a tenant, in order. They begin in chain FORWARD.
type Rules struct {
	Family header.Family
	Policy ruleset.Verdict
	List   []Rule
}

// Base is the chain in which judging begins.
const Base = "FORWARD"

// Set returns the rules as sets of packets. The ID of a rule is its place, counted from 1.
func (r *Rules) Set() *ruleset.Set {
	set := &ruleset.Set{Family: r.Family, Base: Base, Policy: r.Policy, Chains: map[string]*ruleset.Chain{Base: {Name: Base}}}
	for i := range r.List {
		rule := &r.List[i]
		c := set.Chains[rule.Chain]
		if c == nil {
			c = &ruleset.Chain{Name: rule.Chain}
			set.Chains[rule.Chain] = c
		}
		c.Rules = append(c.Rules, ruleset.Rule{
			ID: uint32(i + 1), Boxes: []header.Box{rule.Box()}, Action: rule.Action, Target: rule.Target,
		})
	}
	return set
}

// Restore returns the rules as a table filter for iptables-restore or ip6tables-restore.
func (r *Rules) Restore() string {
	var text strings.Builder
	policy := map[ruleset.Verdict]string{ruleset.Pass: "ACCEPT", ruleset.Drop: "DROP"}[r.Policy]
	fmt.Fprintf(&text, "*filter\n:%s %s [0:0]\n", Base, policy)
	seen := map[string]bool{Base: true}
	for i := range r.List {
		if c := r.List[i].Chain; !seen[c] {
			seen[c] = true
			fmt.Fprintf(&text, ":%s - [0:0]\n", c)
		}
	}
	for i := range r.List {
		text.WriteString(strings.Join(r.List[i].Args(), " ") + "\n")
	}
	text.WriteString("COMMIT\n")
	return text.String()
}
