// SPDX-License-Identifier: Apache-2.0

// Package premises reads the rules of others, and says what a tenant's programs may rely on:
// which packets may be translated before FORWARD, what must have been seen before a packet is
// dropped early, and which bit of the mark is free.
//
// It claims too much rather than too little: a rule that it does not understand may match any
// packet and do anything. Rules of legacy iptables are read as iptables-save prints them.
// Those of nf_tables, which include those of its iptables, are read over netlink, expression by
// expression, because the libraries for it leave out what they do not know.
package premises

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Premises are what holds for one tenant's packets of one family.
type Premises struct {
	// Defer are packets from the tenant about which nothing may be decided at TC ingress: those
	// whose destination may be translated or whose header may be changed before FORWARD, those that
	// a rule does something with before FORWARD that can be seen, and those that routing may drop or
	// answer before FORWARD in a way that the programs cannot ask about.
	Defer []header.Box
	// Zones are the zones of connection tracking in which the tenant's packets may be, in order;
	// 0 is always one.
	Zones []uint16
	// Marks are those, beside 0, that the host's routing may ask for, in order.
	Marks []uint32
	// NoDrop says why no packet must be dropped at TC ingress, such as that a rule logs all
	// packets before FORWARD. "" if they may be.
	NoDrop string
	// ICMPState says which rule looks at the state of connections, so that ICMP, of which
	// the programs cannot tell whether there is a connection, must not be dropped at TC ingress.
	// The tenants' own rules are not counted. "" if none does.
	ICMPState string
	// Helper says what may make a new connection related to another, such as a rule that gives
	// connections a helper: then a packet without a connection may be RELATED. "" if nothing does.
	Helper string
	// NoTag says why nothing may be decided at TC ingress: Defer has all packets. "" if it has
	// not.
	NoTag string
}

// Foreign is the rules of others in one namespace, at one moment. It is not modified.
type Foreign struct {
	// FreeBit is the highest bit of the mark that nobody uses, or 0.
	FreeBit uint32
	// Forwarding4 and Forwarding6 are set if the host forwards packets at all.
	Forwarding4, Forwarding6 bool
	// Bridged4 and Bridged6 are set if iptables sees packets between ports of some bridge
	// (bridge-nf-call-iptables, or the bridge's own nf_call_iptables).
	Bridged4, Bridged6 bool
	// Bypass says which rule sends packets of known connections past FORWARD, so that no
	// firewall sees them: a flow table of nf_tables. "" if none does.
	Bypass string

	chains []*chain
	marks  map[header.Family][]uint32
	routes map[header.Family]routes
	// reverse is by device how sources are checked by the way back; selective is set if routing does
	// not only depend on the destination and the mark.
	reverse   map[string]int
	selective bool
	// unread says why there are rules that could not be read, or is "".
	unread   string
	programs programs
}

// attempts is how often rules are read that change meanwhile.
const attempts = 10

// errChanged is that rules changed while they were read.
var errChanged = errors.New("rules change all the time")

// Read reads the rules of others in the namespace, nil for the process's. Legacy rules that it
// has no program for are not an error: then nothing is allowed.
func Read(ctx context.Context, ns *netns.NS) (*Foreign, error) {
	f := &Foreign{marks: map[header.Family][]uint32{}, routes: map[header.Family]routes{}, reverse: map[string]int{}}
	if err := f.readSettings(ns); err != nil {
		return nil, err
	}
	if err := f.readBridges(ns); err != nil {
		return nil, err
	}
	if err := f.readReverse(ns); err != nil {
		return nil, err
	}
	used, err := f.readRouting(ns)
	if err != nil {
		return nil, err
	}
	if err := f.readLegacy(ctx, ns); err != nil {
		return nil, err
	}
	nft, err := readNFT(ns)
	if err != nil {
		return nil, fmt.Errorf("reading nf_tables: %w", err)
	}
	f.chains = append(f.chains, nft...)
	f.programs = readPrograms(ns)
	for _, c := range f.chains {
		for _, r := range c.rules {
			used |= r.bits
			if r.bypasses && f.Bypass == "" {
				f.Bypass = r.where
			}
		}
	}
	for bit := uint32(1) << 31; bit != 0 && f.FreeBit == 0; bit >>= 1 {
		if used&bit == 0 {
			f.FreeBit = bit
		}
	}
	return f, nil
}

// For returns what holds for the tenant. The addresses are all those of the host.
func (f *Foreign) For(family header.Family, t *scope.Tenant, local []netip.Addr) *Premises {
	w := newWalk(f, family, t, local)
	w.run(local)
	p := &w.premises
	p.Marks = f.marks[family]
	for _, c := range f.chains {
		if !c.sees(family) {
			continue
		}
		for _, r := range c.rules {
			if r.state && p.ICMPState == "" {
				p.ICMPState = r.where + " looks at the state of connections"
			}
			if r.helps && p.Helper == "" {
				p.Helper = r.where + " gives connections a helper"
			}
		}
	}
	if why := cmp.Or(f.unread, f.programs.attached()); why != "" {
		w.all(why)
		p.NoDrop, p.ICMPState = why, why
	}
	slices.Sort(p.Zones)
	p.Zones = slices.Compact(p.Zones)
	return p
}
