// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// foreign says, as a sentence, that a rule names others' devices or addresses at one end, and nothing of the
// tenant's at the other: then it is about others' packets. "" if it does not. What the rule has at the
// one end may also be the tenant's, or nobody's.
func (d *decider) foreign(r *iptables.Rule) string {
	var names []string
	for _, i := range []iptables.Interface{r.In, r.Out} {
		if i.Name != "" {
			names = append(names, i.Name)
		}
	}
	s := NewSpace(d.family, d.host, names)
	cells := s.lower(r).Cells
	for _, end := range []struct {
		device, other         iptables.Interface
		address, otherAddress header.Word
		option, cure          string
	}{
		{r.In, r.Out, header.Src0, header.Dst0, "-i", "-o"},
		{r.Out, r.In, header.Dst0, header.Src0, "-o", "-i"},
	} {
		own := s.Own(d.tenant.ID)
		if within(s.Named(end.other), own) || within(s.Named(end.device), own) || d.inOwn(cells, end.otherAddress) {
			continue
		}
		cure := fmt.Sprintf("if it is about what %s %s them, add %s %s", d.tenant.ID, verb(end.option), end.cure, d.anyDevice())
		if others := s.where(func(v device) bool { return v.owner != "" && v.owner != d.tenant.ID }); within(s.Named(end.device), others) {
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

// within reports whether a set is some values, and all of them are in the other.
func within(some, in header.Set) bool {
	return some != nil && !some.Empty() && slices.Equal(some.Intersect(in), some)
}

// inOwn reports whether all addresses of the cells at the word are the tenant's.
func (d *decider) inOwn(cells []Cell, first header.Word) bool {
	return len(cells) > 0 && len(header.SubtractBoxes(addresses(cells, first), d.prefixes(first, true))) == 0
}

// inOthers reports whether all are in prefixes of other tenants, and none in one of the tenant's.
func (d *decider) inOthers(cells []Cell, first header.Word) bool {
	named := addresses(cells, first)
	return len(cells) > 0 && len(header.SubtractBoxes(named, d.prefixes(first, false))) == 0 &&
		len(header.IntersectBoxes(named, d.prefixes(first, true))) == 0
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

// prefixes returns those of the tenant, or those of all others, of the family.
func (d *decider) prefixes(first header.Word, own bool) []header.Box {
	var boxes []header.Box
	for i := range d.host.Tenants {
		t := &d.host.Tenants[i]
		if (t.ID == d.tenant.ID) != own {
			continue
		}
		for _, p := range t.Prefixes {
			if p.Addr().Is4() == (d.family == header.V4) {
				boxes = append(boxes, header.Prefix(first, p))
			}
		}
	}
	return boxes
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
