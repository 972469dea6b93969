// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Limits. Beyond, everything is deferred.
const (
	maxSteps = 200000 // rules that are visited, on all ways
	maxDepth = 64     // chains that call each other
	maxBoxes = 64     // boxes of a way; beyond, the way is as wide as it was before
	maxDefer = 512    // boxes of the answer
)

// walk goes the ways that a tenant's packets may go through the rules of others.
type walk struct {
	*Foreign
	view
	premises Premises
	tables   map[string]map[string]*chain
	steps    int
}

func newWalk(f *Foreign, family header.Family, t *scope.Tenant, local []netip.Addr) *walk {
	w := &walk{
		Foreign: f, tables: map[string]map[string]*chain{}, premises: Premises{Zones: []uint16{0}},
		view: view{family: family, names: map[string]bool{}, index: map[uint32]bool{}, local: boxesOf(family, local)},
	}
	for _, d := range t.Devices {
		w.names[d.Name], w.index[uint32(d.Index)] = true, true
	}
	for _, p := range t.Ports {
		w.names[p.Name], w.index[uint32(p.Index)] = true, true
	}
	for _, c := range f.chains {
		if w.tables[c.table] == nil {
			w.tables[c.table] = map[string]*chain{}
		}
		w.tables[c.table][c.name] = c
	}
	return w
}

// boxesOf returns the packets to the addresses.
func boxesOf(family header.Family, addrs []netip.Addr) []header.Box {
	var boxes []header.Box
	if family == header.V4 {
		return []header.Box{header.Box{}.With(header.Dst0, words(addrs))}
	}
	for _, a := range addrs {
		if a = a.WithZone(""); !a.Unmap().Is4() {
			boxes = append(boxes, header.Prefix(header.Dst0, netip.PrefixFrom(a, a.BitLen())))
		}
	}
	return boxes
}

func (w *walk) run(local []netip.Addr) {
	w.fate(local)
	for _, c := range w.chains {
		if !c.sees(w.family) {
			continue
		}
		for _, r := range c.rules {
			w.sources(r)
		}
		if c.hook == before && w.on(c) {
			w.chain(c, everything(), 0)
		}
	}
	if len(w.premises.Defer) > maxDefer {
		w.all("too many rules may translate or change packets before FORWARD")
	}
}

// on reports whether a chain is on one of the tenant's devices.
func (w *walk) on(c *chain) bool {
	if c.devices == nil {
		return true
	}
	for _, name := range c.devices {
		if w.names[name] {
			return true
		}
	}
	return false
}

// chain walks a chain with the packets that may come there.
func (w *walk) chain(c *chain, in []header.Box, depth int) {
	for _, r := range c.rules {
		if w.steps++; w.steps > maxSteps || depth > maxDepth {
			w.all("there are too many ways through the rules of others")
			w.premises.NoDrop = w.premises.NoTag
			return
		}
		for _, a := range r.acts {
			if boxes := narrow(in, a.match(&w.view)); len(boxes) > 0 {
				w.act(r, a, boxes)
			}
		}
		if len(r.jumps) == 0 && !r.anywhere {
			continue
		}
		if boxes := narrow(in, r.match(&w.view)); len(boxes) > 0 {
			w.jump(c, r, boxes, depth)
		}
	}
}

// narrow returns the packets of both, or, if they are too many boxes to work out, of the first.
func narrow(in, matched []header.Box) []header.Box {
	if len(matched)*len(in) > maxBoxes {
		return in
	}
	return header.IntersectBoxes(in, matched)
}

func (w *walk) jump(c *chain, r *rule, boxes []header.Box, depth int) {
	table := w.tables[c.table]
	for _, name := range r.jumps {
		if to := table[name]; to != nil {
			w.chain(to, boxes, depth+1)
		}
	}
	if r.anywhere {
		for _, to := range table {
			if to.hook == noHook {
				w.chain(to, boxes, depth+1)
			}
		}
	}
}

// act notes what a rule does with packets.
func (w *walk) act(r *rule, a act, boxes []header.Box) {
	p := &w.premises
	reason := r.where + " " + a.what
	switch a.kind {
	case zoned:
		p.Zones = append(p.Zones, a.zone)
		return
	case anyZone:
		p.NoDrop = reason
		return
	}
	for i := range boxes {
		if !unbounded(&boxes[i]) {
			continue
		}
		if a.kind == seen {
			p.NoDrop = reason
		} else {
			w.all(reason)
		}
		return
	}
	w.postpone(boxes)
}

// postpone defers packets.
func (w *walk) postpone(boxes []header.Box) {
	if w.premises.NoTag != "" || len(w.premises.Defer) > maxDefer {
		return
	}
	for _, b := range boxes {
		b[header.TTL], b[header.State], b[header.Origin] = nil, nil, nil
		w.premises.Defer = append(w.premises.Defer, b)
	}
}

// all defers all packets.
func (w *walk) all(reason string) {
	if w.premises.NoTag == "" {
		w.premises.NoTag, w.premises.Defer = reason, everything()
	}
}

// sources notes that answers to what a rule translates are translated back before FORWARD.
func (w *walk) sources(r *rule) {
	for _, s := range r.sources {
		switch {
		case s.unknown:
			w.all(r.where + " translates sources to addresses that are not known")
		case s.local:
			w.postpone(w.local)
		case s.lo.Is4() == (w.family == header.V4):
			w.postpone(header.AddressRange(header.Dst0, s.lo, s.hi))
		}
	}
}
