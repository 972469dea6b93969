// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Layer is what packets are when they meet a chain of rules.
type Layer uint8

// The layers.
const (
	// OfIP: packets that are routed, or pass a bridge that calls iptables.
	OfIP Layer = iota
	// OfBridge: frames that pass a bridge.
	OfBridge
	// OfDevice: all that passes a device.
	OfDevice
)

// Point is where packets meet a chain of rules.
type Point uint8

// The points. Those of a device are Ingress and Egress alone.
const (
	Prerouting Point = iota
	Input
	Forward
	Output
	Postrouting
	Ingress
	Egress
	// Elsewhere is a point that is not known.
	Elsewhere
)

// Path is rules of others that packets of a flow may meet.
type Path struct {
	// Where says which chain it is, in words for people.
	Where string
	Layer Layer
	Point Point
	// Devices are those on which the chain is, nil if it is on all.
	Devices []string
	// Rules are what the chain does, as [ruleset.Set.JudgeMany] takes it: a rule for which more than the
	// headers matters is Unknown, and Foreign is what must be done to each packet. Addresses are those
	// that packets have at the chain.
	Rules *ruleset.Set
	// Notes are about its rules, by ID.
	Notes map[uint32]*Note
}

// Note is about a rule of a [Path].
type Note struct {
	// Rule says which rule it is, in words for people, and Does what it looks at or does that may be
	// another thing for each packet: it completes the sentence "the rule …". "" if there is nothing.
	Rule, Does string
	// In and Out are names of devices, of which those that end in "+" mean all that begin so: the
	// rule only matches packets that come, or go, by a device that all of them mean.
	In, Out []string
}

// Unread says why there are rules that could not be read, or is "". Programs of BPF at netfilter's hooks
// are such rules.
func (f *Foreign) Unread() string {
	return cmp.Or(f.unread, f.programs.attached(), f.programs.unlisted)
}

// Paths returns the rules of others that packets of known connections may meet, dwell's own left out. Those
// of nat are not among them: only first packets meet them.
func (f *Foreign) Paths(family header.Family) []Path {
	tables := map[string]*pathTable{}
	for _, c := range f.chains {
		if !c.sees(family) {
			continue
		}
		t := tables[c.table]
		if t == nil {
			t = &pathTable{chains: map[string]*ruleset.Chain{}, notes: map[uint32]*Note{}}
			tables[c.table] = t
		}
		t.sources = append(t.sources, c)
	}
	var paths []Path
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		paths = append(paths, tables[name].paths(family)...)
	}
	return paths
}

// pathTable is a table of chains that call each other.
type pathTable struct {
	sources []*chain
	chains  map[string]*ruleset.Chain
	notes   map[uint32]*Note
}

func (t *pathTable) paths(family header.Family) []Path {
	var called []string // any of them may be, if it is not known which
	there := map[string]bool{}
	for _, c := range t.sources {
		there[c.name] = true
		if !c.base {
			called = append(called, c.name)
		}
	}
	for _, c := range t.sources {
		out := &ruleset.Chain{Name: c.name}
		for _, r := range c.rules {
			rules, note := r.forFlows(family, called)
			note.Rule = r.where
			for _, one := range rules {
				if netfilter.Ours(one.Target) && !there[one.Target] {
					continue // dwell's own chains were left out
				}
				one.ID = uint32(len(t.notes)) + 1
				t.notes[one.ID] = note
				out.Rules = append(out.Rules, one)
			}
		}
		t.chains[c.name] = out
	}
	var paths []Path
	for _, c := range t.sources {
		if !c.base || c.first {
			continue
		}
		set := &ruleset.Set{Family: family, Base: c.name, Policy: ruleset.Pass, Chains: t.chains}
		if c.drops {
			set.Policy = ruleset.Drop
		}
		paths = append(paths, Path{
			Where: "chain " + c.name + " of " + c.table, Layer: c.layer, Point: c.point, Devices: c.devices, Rules: set, Notes: t.notes,
		})
	}
	return paths
}

// forFlows returns what the rule does to packets of flows, as rules in order, none if it does nothing.
func (r *rule) forFlows(family header.Family, called []string) ([]ruleset.Rule, *Note) {
	if r.legacy != nil {
		return legacyForFlows(r.legacy)
	}
	return nftForFlows(r, family, called)
}

// legacyCalls says from where a chain of legacy iptables is called.
func legacyCalls(table string, c *iptables.Chain) calls {
	points := map[string]Point{
		"PREROUTING": Prerouting, "INPUT": Input, "FORWARD": Forward, "OUTPUT": Output, "POSTROUTING": Postrouting,
	}
	point, base := points[c.Name]
	return calls{base: base, point: point, first: table == "nat", drops: c.Policy == "DROP"}
}

// nftCalls says from where a chain of nf_tables is called.
func (c *chain) nftCalls(family byte, hook, at attributes) {
	points := []Point{Prerouting, Input, Forward, Output, Postrouting, Ingress}
	c.base = true
	switch family {
	case unix.NFPROTO_BRIDGE:
		c.layer = OfBridge
	case unix.NFPROTO_NETDEV:
		c.layer, points = OfDevice, []Point{Ingress, Egress}
	}
	c.point = Elsewhere
	if n := int(number(hook[unix.NFTA_HOOK_HOOKNUM])); n < len(points) {
		c.point = points[n]
	}
	if c.point == Ingress {
		c.layer = OfDevice
	}
	c.first = text(at[unix.NFTA_CHAIN_TYPE]) == "nat"
	policy, has := at[unix.NFTA_CHAIN_POLICY]
	c.drops = has && number(policy) == 0 // NF_DROP
}

// legacyForFlows translates a rule of legacy iptables.
func legacyForFlows(r *iptables.Rule) ([]ruleset.Rule, *Note) {
	lowered, reason := r.Lower(func(string, bool) (from, to iptables.Truth) { return iptables.Unknown, iptables.Unknown })
	note := &Note{Does: "needs each packet: " + reason}
	if lowered.Unknown && lowered.Fixed {
		note.Does = ""
	}
	for i := range lowered.Boxes {
		lowered.Boxes[i][header.Origin] = nil
	}
	if r.In.Name != "" && !r.In.Not {
		note.In = []string{r.In.Name}
	}
	if r.Out.Name != "" && !r.Out.Not {
		note.Out = []string{r.Out.Name}
	}
	if r.Target.Kind == iptables.Extension && r.Opaque == "" {
		switch action, marks := targetForFlows(r.Target.Name); {
		case action == ruleset.Foreign:
			lowered.Action, note.Does = action, "has the target "+r.Target.Name
		default:
			lowered.Action, lowered.Marks = action, marks
		}
	}
	if lowered.Action == ruleset.Continue && !lowered.Marks && (!lowered.Unknown || lowered.Fixed) {
		return nil, note
	}
	return []ruleset.Rule{lowered}, note
}

// targetForFlows says what an iptables target does to packets of a flow that is known.
func targetForFlows(name string) (action ruleset.Action, marks bool) {
	switch name {
	case "DROP", "REJECT":
		return ruleset.Deny, false
	case "ACCEPT":
		return ruleset.Accept, false
	case "RETURN":
		return ruleset.Return, false
	case "":
		return ruleset.Continue, false
	case "MARK", "CONNMARK", "CLASSIFY", "CONNSECMARK", "SECMARK", "CT", "NOTRACK", "HMARK", "CHECKSUM", "TPROXY",
		"SNAT", "DNAT", "MASQUERADE", "REDIRECT", "NETMAP":
		return ruleset.Continue, true
	}
	return ruleset.Foreign, false
}
