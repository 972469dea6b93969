// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// foreign says, as a sentence, that a rule names others' devices or addresses at one end, and nothing of the
// tenant's at the other: then it is about others' packets. "" if it does not. What the rule has at the
// one end may also be the tenant's, or nobody's.
func (d *decider) foreign(r *iptables.Rule) string {
	s := d.space
	cells := s.lower(r).Cells
	for _, end := range []struct {
		device, other         iptables.Interface
		address, otherAddress header.Word
		option, cure          string
	}{
		{r.In, r.Out, header.Src0, header.Dst0, "-i", "-o"},
		{r.Out, r.In, header.Dst0, header.Src0, "-o", "-i"},
	} {
		own := func(v device) bool { return v.owner == d.tenant.ID }
		if s.only(end.other, own) || s.only(end.device, own) || d.inOwn(cells, end.otherAddress) {
			continue
		}
		cure := fmt.Sprintf("if it is about what %s %s them, add %s %s", d.tenant.ID, verb(end.option), end.cure, d.anyDevice())
		if s.only(end.device, func(v device) bool { return v.owner != "" && v.owner != d.tenant.ID }) {
			return fmt.Sprintf("The rule is about packets of another's device %s and not of %s's: %s.", end.device.Name, d.tenant.ID, cure)
		}
		if d.inOthers(cells, end.address) {
			return fmt.Sprintf("The rule is about packets with addresses that are another's and not %s's: %s.", d.tenant.ID, cure)
		}
	}
	return ""
}

func verb(option string) string {
	if option == "-i" {
		return "receives from"
	}
	return "sends to"
}

// anyDevice returns the name of a device of the tenant's.
func (d *decider) anyDevice() string {
	if len(d.tenant.Devices) == 0 {
		return "its device"
	}
	return d.tenant.Devices[0].Name
}

// only reports whether -i or -o means devices of tenants or uplinks, and all of them are of a kind.
func (s *Space) only(i iptables.Interface, kind func(device) bool) bool {
	if i.Name == "" {
		return false
	}
	some := false
	for _, v := range s.devices {
		if means(i.Name, v.name) == i.Not || v.owner == "" && !v.uplink {
			continue
		}
		if !kind(v) {
			return false
		}
		some = true
	}
	return some
}

// inOwn reports whether all addresses of the cells at the word are the tenant's.
func (d *decider) inOwn(cells []Cell, first header.Word) bool {
	own := d.own[first]
	return own.have(addresses(cells, first))
}

// inOthers reports whether all are in prefixes of other tenants, and none in one of the tenant's.
func (d *decider) inOthers(cells []Cell, first header.Word) bool {
	own, others, named := d.own[first], d.others[first], addresses(cells, first)
	return others.have(named) && len(header.IntersectBoxes(named, own.boxes)) == 0
}

// addresses returns the boxes of cells with all words but an address's left out.
func addresses(cells []Cell, first header.Word) []header.Box {
	var boxes []header.Box
	for i := range cells {
		var box header.Box
		copy(box[first:first+4], cells[i].Box[first:first+4])
		boxes = append(boxes, box)
	}
	return boxes
}

// prefixes are addresses at some word.
type prefixes struct {
	first header.Word
	boxes []header.Box
	// begin are the values of the first word, by which most questions are answered.
	begin header.Set
}

// prefixes returns those of tenants.
func (d *decider) prefixes(first header.Word, of func(id string) bool) prefixes {
	p := prefixes{first: first}
	var begin header.Set
	for i := range d.host.Tenants {
		t := &d.host.Tenants[i]
		if !of(t.ID) {
			continue
		}
		for _, prefix := range t.Prefixes {
			if prefix.Addr().Is4() != (d.family == header.V4) {
				continue
			}
			box := header.Prefix(first, prefix)
			p.boxes = append(p.boxes, box)
			if box[first] == nil { // all addresses
				box[first] = header.Range(0, first.Max())
			}
			begin = append(begin, box[first]...)
		}
	}
	p.begin = header.SetOf(begin...)
	return p
}

// have reports whether all addresses are among the prefixes, and there is one.
func (p *prefixes) have(named []header.Box) bool {
	for i := range named {
		if !named[i][p.first].Subtract(p.begin, p.first.Max()).Empty() {
			return false
		}
	}
	return len(named) > 0 && len(header.SubtractBoxes(named, p.boxes)) == 0
}

// meaning says what a confined command means.
func (d *decider) meaning(cmd *iptables.Command) string {
	id := d.tenant.ID
	own := id + "'s own "
	chain := own + "chain " + cmd.Chain
	only := ", which only packets from and to " + strings.Join(d.deviceNames(), ", ") + " pass"
	if cmd.Chain == iptables.Base {
		chain = own + "FORWARD" + only
	}
	var what string
	switch cmd.Op {
	case iptables.Append:
		what = "the end of " + chain
	case iptables.Insert:
		what = fmt.Sprintf("place %d of %s", max(cmd.Number, 1), chain)
	case iptables.Delete, iptables.Replace, iptables.Check:
		what = "a rule of " + chain
		if cmd.Number > 0 {
			what = fmt.Sprintf("rule %d of %s", cmd.Number, chain)
		}
	case iptables.SetPolicy:
		what = fmt.Sprintf("the default of %s: %s", chain, cmd.Policy)
	case iptables.NewChain:
		what = "a new chain of " + id + "'s own"
	case iptables.Flush, iptables.Zero, iptables.List, iptables.ListRules, iptables.DeleteChain:
		what = "all of " + own + "chains"
		if cmd.Chain != "" {
			what = chain
		}
		if cmd.Op == iptables.Flush {
			what = "the flush of " + what
		}
	default:
		what = chain
	}
	return "It means " + what + "."
}

func (d *decider) deviceNames() []string {
	names := []string{}
	for _, v := range d.tenant.Devices {
		names = append(names, v.Name)
	}
	if len(names) == 0 {
		return []string{"its devices"}
	}
	return names
}
