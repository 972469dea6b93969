// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Truth is whether something holds for all packets, for none, or for one cannot say which.
type Truth uint8

// The truth values.
const (
	Unknown Truth = iota
	Always
	Never
)

// not returns the truth of the opposite.
func (t Truth) not() Truth {
	switch t {
	case Always:
		return Never
	case Never:
		return Always
	}
	return Unknown
}

// Devices says whether the device by which a packet comes (out is false), or goes (out is true), has
// the name, which may end in "+": for packets from the tenant, and for packets to it.
type Devices func(name string, out bool) (from, to Truth)

// maxBoxes is how many boxes a rule may have; beyond, it counts as unknown.
const maxBoxes = 256

// maxIntervals is how many intervals a mask with holes may make.
const maxIntervals = 1024

// Lower translates a rule. Its boxes are exactly the packets that the rule matches, or, if
// the rule is Unknown, at least all packets that it may match, or that it counts. reason says in a sentence why
// a rule is Unknown or Foreign, or is "".
func (r *Rule) Lower(devices Devices) (lowered ruleset.Rule, reason string) {
	lowered.ID = r.ID
	if r.Opaque != "" {
		lowered.Boxes, lowered.Unknown, lowered.Action = everything(), true, ruleset.Foreign
		return lowered, r.Opaque
	}
	l := lowering{boxes: everything()}
	l.address(header.Src0, r.Src)
	l.address(header.Dst0, r.Dst)
	if r.Proto.Number != 0 {
		l.and(with(header.Proto, header.Range(uint32(r.Proto.Number), uint32(r.Proto.Number)), r.Proto.Not), "")
	}
	l.device(r.In, false, devices)
	l.device(r.Out, true, devices)
	if r.Fragment == LaterFragment {
		l.and(nil, "") // such a packet is not in the space
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		if known, is := matchers[m.Name]; is {
			boxes, reason := known.lower(r, m)
			l.varies = l.varies || reason != "" && !fixed(m)
			l.and(boxes, reason)
			continue
		}
		l.unknown("only iptables can match " + m.Name)
		l.varies = l.varies || !fixed(m)
		l.counted = l.counted || !pure(m)
	}
	lowered.Boxes = l.boxes
	lowered.Unknown = l.reason != "" && len(l.boxes) > 0
	lowered.Fixed = lowered.Unknown && !l.varies
	lowered.Action, lowered.Target = r.action()
	if lowered.Unknown {
		return lowered, l.reason
	}
	if lowered.Action == ruleset.Foreign {
		return lowered, "only iptables can do " + r.Target.Name
	}
	return lowered, ""
}

// action returns what the rule does, and to which chain it goes.
func (r *Rule) action() (ruleset.Action, string) {
	t := r.Target
	switch t.Kind {
	case NoTarget:
		return ruleset.Continue, ""
	case Verdict:
		switch t.Name {
		case "ACCEPT":
			return ruleset.Accept, ""
		case "DROP":
			return ruleset.Deny, ""
		case "RETURN":
			return ruleset.Return, ""
		}
	case ToChain:
		if t.Goto {
			return ruleset.Goto, t.Name
		}
		return ruleset.Jump, t.Name
	}
	return ruleset.Foreign, ""
}

// pureMatches are those that are not understood, but of which it is known that it makes no
// difference to later packets whether they are asked.
var pureMatches = []string{
	"addrtype", "ah", "cgroup", "cluster", "connbytes", "connlabel", "connmark", "cpu", "devgroup", "dst",
	"esp", "eui64", "frag", "hbh", "helper", "ipcomp", "ipv6header", "ipvs", "mac", "mark", "mh", "owner",
	"physdev", "pkttype", "policy", "rateest", "realm", "rpfilter", "rt", "socket", "srh", "string", "tcpmss",
	"time", "u32",
}

// pure reports whether it makes no difference to later packets whether the match is asked, as it
// does for limit: its packets count even if a later match of the same rule does not take them.
func pure(m *Match) bool {
	return slices.Contains(pureMatches, m.Name) && (m.Name != "connlabel" || m.option("--set") == nil)
}

// fixedMatches are those that say the same of all packets of a connection in one direction, if these have
// no extension headers, of all that comes within seconds, and as long as nobody changes a set.
var fixedMatches = []string{
	"addrtype", "ah", "cgroup", "cluster", "connlabel", "connmark", "conntrack", "dccp", "devgroup", "dscp", "dst", "esp",
	"eui64", "frag", "hbh", "helper", "icmp", "icmp6", "ipcomp", "iprange", "ipv6header", "ipvs", "mac", "mark", "mh",
	"multiport", "owner", "physdev", "pkttype", "policy", "realm", "rpfilter", "rt", "sctp", "set", "srh", "state", "udp",
}

// fixed reports whether a match says the same of all packets of a connection in one direction.
func fixed(m *Match) bool {
	if !slices.Contains(fixedMatches, m.Name) {
		return false
	}
	return !slices.ContainsFunc(m.Options, func(o Option) bool {
		switch m.Name {
		case "conntrack":
			return o.Name == "--ctexpire"
		case "connlabel":
			return o.Name == "--set"
		case "set": // the others count, or change what is counted
			return o.Name != "--match-set" && o.Name != "--return-nomatch"
		}
		return false
	})
}

// lowering collects what a rule matches.
type lowering struct {
	boxes  []header.Box
	reason string
	// counted: a match that is not pure was asked, so what later ones do not take is
	// part of the boxes, too: the packet must come to iptables.
	counted bool
	// varies: what is not known may be another for each packet of a connection.
	varies bool
}

// unknown notes the first reason why the rule is not known exactly.
func (l *lowering) unknown(reason string) {
	if l.reason == "" {
		l.reason = reason
	}
}

// and keeps the packets that are in one of the boxes, too.
func (l *lowering) and(boxes []header.Box, reason string) {
	if reason != "" {
		l.unknown(reason)
	}
	if l.counted {
		return
	}
	if len(l.boxes)*len(boxes) > maxBoxes {
		l.unknown("its conditions are too many combinations for a decision diagram")
		l.varies = true
		return
	}
	l.boxes = header.IntersectBoxes(l.boxes, boxes)
}

// address adds -s or -d.
func (l *lowering) address(first header.Word, a Address) {
	if a.All() {
		return
	}
	in := header.Box{}
	addr, mask := header.AddressWords(a.Addr), header.AddressWords(a.Mask)
	words := 4
	if a.Addr.Is4() {
		words = 1
	}
	for i := range words {
		if mask[i] == 0 {
			continue
		}
		set, ok := header.Masked(addr[i], mask[i], 0xffffffff, maxIntervals)
		if !ok {
			l.unknown("the mask " + addressText(a.Mask) + " has too many holes for a decision diagram")
			return
		}
		in[int(first)+i] = set
	}
	if a.Not {
		l.and(header.ComplementBoxes([]header.Box{in}), "")
		return
	}
	l.and([]header.Box{in}, "")
}

// device adds -i or -o.
func (l *lowering) device(i Interface, out bool, devices Devices) {
	if i.Name == "" {
		return
	}
	var from, to Truth
	switch {
	case i.Name == "+":
		from, to = Always, Always
	case devices != nil:
		from, to = devices(i.Name, out)
	}
	if i.Not {
		from, to = from.not(), to.not()
	}
	var values []uint32
	if from != Never {
		values = append(values, header.From)
	}
	if to != Never {
		values = append(values, header.To)
	}
	reason := ""
	if from == Unknown || to == Unknown {
		option := "-i "
		if out {
			option = "-o "
		}
		reason = "only iptables can tell whether a packet passes " + option + i.Name
	}
	l.and(with(header.Origin, header.Values(values...), false), reason)
}

// Lower translates all chains. reasons has, by rule ID, those that [Rule.Lower] gives.
func (c *Chains) Lower(devices Devices) (set *ruleset.Set, reasons map[uint32]string) {
	set = &ruleset.Set{Family: c.Family, Base: Base, Policy: ruleset.Pass, Chains: map[string]*ruleset.Chain{}}
	reasons = map[uint32]string{}
	for _, chain := range c.List {
		if chain.Name == Base && chain.Policy == "DROP" {
			set.Policy = ruleset.Drop
		}
		lowered := &ruleset.Chain{Name: chain.Name}
		for _, r := range chain.Rules {
			rule, reason := r.Lower(devices)
			if reason != "" {
				reasons[r.ID] = reason
			}
			lowered.Rules = append(lowered.Rules, rule)
		}
		set.Chains[chain.Name] = lowered
	}
	return set, reasons
}
