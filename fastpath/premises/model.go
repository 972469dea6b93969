// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
)

// hook is where a chain is called from.
type hook uint8

// The hooks that matter.
const (
	noHook hook = iota // called by other chains only
	// before: packets from the tenant pass it before they come to the tenant's chains.
	before
	// elsewhere: they pass it later, or never.
	elsewhere
)

// chain is a chain of rules of others.
type chain struct {
	// table distinguishes it from chains of the same name; only chains of one table call each other.
	table, name string
	hook        hook
	// v4 and v6 say of which families packets pass it.
	v4, v6 bool
	// devices are those on which it is, nil if it is on all.
	devices []string
	rules   []*rule
	// calls is where packets of a flow meet it.
	calls
}

// calls says from where a chain is called, and what becomes of a packet at its end.
type calls struct {
	base  bool // it is called from somewhere
	layer Layer
	point Point
	// first: only a connection's first packet passes it.
	first bool
	drops bool
}

func (c *chain) sees(family header.Family) bool {
	return family == header.V4 && c.v4 || family == header.V6 && c.v6
}

// rule is a rule of others.
type rule struct {
	// where says which rule it is, in words for people.
	where string
	// match returns which of the viewer's packets the rule may match.
	match func(*view) []header.Box
	acts  []act
	// jumps are the chains of the table that it may call, anywhere is set if they are not known.
	jumps    []string
	anywhere bool
	// bits are those of the mark that it sets or asks for.
	bits uint32
	// state is set if it looks at the state of connections.
	state bool
	// helps is set if it gives connections a helper.
	helps bool
	// bypasses is set if it sends packets past FORWARD.
	bypasses bool
	// sources are what the sources of packets may be translated to.
	sources []sources
	// legacy is the rule as iptables has it, or nil; nft are its family and its expressions otherwise.
	legacy *iptables.Rule
	nft    []attribute
	family byte
	// tableSets are the sets of its table.
	tableSets map[string]*nftSet
}

// act is something that a rule does with a packet beside to judge it.
type act struct {
	kind actKind
	// what completes the sentence "the rule …".
	what string
	zone uint16
	// match returns which packets it may do it to: more than the rule matches, if it does it before
	// all of the rule's conditions are checked.
	match func(*view) []header.Box
}

type actKind uint8

const (
	// seen: it can be seen from outside that the rule was reached.
	seen actKind = iota
	// rewrites: the header is not what arrived.
	rewrites
	// translates: the destination is not what arrived.
	translates
	// zoned puts the packet into a zone of connection tracking.
	zoned
	// anyZone puts it into a zone that is not known.
	anyZone
)

// sources are addresses that sources are translated to.
type sources struct {
	lo, hi netip.Addr
	// local: any address of the host, as for MASQUERADE.
	local bool
	// unknown: any address.
	unknown bool
}

// view is whose packets are asked about.
type view struct {
	family header.Family
	names  map[string]bool
	index  map[uint32]bool
	local  []header.Box
}

// everything is the box of all packets.
func everything() []header.Box { return []header.Box{{}} }

// unbounded reports whether a box has no limits but those that a tenant's packets have.
func unbounded(b *header.Box) bool {
	for w, s := range b {
		if s != nil && !s.Covers(header.Word(w).Max()) {
			return false
		}
	}
	return true
}
