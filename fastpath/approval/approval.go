// SPDX-License-Identifier: Apache-2.0

// Package approval decides which flows may take the fast path: those of which no rule can treat a later
// packet in another way than those that the kernel has already let pass.
//
// Once a flow is sent by the fast path, netfilter does not see its packets until the lease is over. What
// is the same for all packets of a flow, such as its addresses, ports and mark, was judged with the
// first ones. So a flow is refused if a rule that it comes to looks at something else (a packet's length, the
// time, a limit), or does something with each packet (logs it, counts it for a limit, changes it). What a
// rule only counts by itself is not a reason: those counters do not count fast packets.
//
// Like package premises it refuses too much rather than too little.
package approval

import (
	"reflect"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Firewall knows the tenants' own rules, as firewall.Manager does.
type Firewall interface {
	// InForce returns the rules in force of the tenant with the number, and the diagram of them that
	// decides, or nil if iptables does.
	InForce(number uint32, f header.Family) (set *ruleset.Set, forward *diagram.Diagram, ok bool)
}

// Inputs are what a [Policy] is made of.
type Inputs struct {
	// Foreign are the rules of others. If they are nil, because they could not be read, nothing is
	// approved, and Unread says why.
	Foreign *premises.Foreign
	Unread  error
	// Host says which devices are whose. If it is nil, nothing is approved.
	Host *scope.Host
	// Slots are the numbers of tenants ([scope.Tenant.Number]) by slot.
	Slots map[uint16]uint32
	// Firewall may be nil: then tenants have no rules of their own.
	Firewall Firewall
}

// Decision is what is decided about a flow.
type Decision struct {
	OK bool
	// Reason is why not, and Detail a sentence about it, without a full stop.
	Reason flow.Reason
	Detail string
}

// Policy decides about flows, by what was the case at one moment. It is not modified.
type Policy struct {
	// closed says why nothing is approved, or is "".
	closed string
	host   *scope.Host
	slots  map[uint16]uint32
	// bridged says by family whether bridges call iptables.
	bridged map[header.Family]bool
	paths   map[pathKey][]path
	own     map[ownKey]own
}

// ownKey is a tenant's number and a family.
type ownKey struct {
	number uint32
	family header.Family
}

// own is a tenant's own rules.
type own struct {
	set     *ruleset.Set
	rules   *ruleset.Prepared // of set
	forward *diagram.Diagram
}

// New makes a policy.
func New(in Inputs) *Policy {
	p := &Policy{closed: closed(&in), host: in.Host, slots: in.Slots}
	if p.closed != "" {
		return p
	}
	p.bridged = map[header.Family]bool{header.V4: in.Foreign.Bridged4, header.V6: in.Foreign.Bridged6}
	p.paths = pathsOf(in.Foreign)
	if in.Firewall != nil {
		p.own = ownOf(in.Firewall, in.Slots)
	}
	return p
}

// ownOf returns the tenants' own rules.
func ownOf(f Firewall, slots map[uint16]uint32) map[ownKey]own {
	all := map[ownKey]own{}
	for _, number := range slots {
		for _, family := range []header.Family{header.V4, header.V6} {
			if set, forward, ok := f.InForce(number, family); ok {
				all[ownKey{number, family}] = own{set, ruleset.Prepare(set), forward}
			}
		}
	}
	return all
}

// closed says why nothing may be approved.
func closed(in *Inputs) string {
	switch {
	case in.Foreign == nil && in.Unread != nil:
		return "the host's own rules cannot be read: " + in.Unread.Error()
	case in.Foreign == nil:
		return "the host's own rules are not known yet"
	case in.Foreign.Unread() != "":
		return in.Foreign.Unread()
	case in.Foreign.Bypass != "":
		return in.Foreign.Bypass + " sends packets past FORWARD (a flow table)"
	case in.Host == nil:
		return "it is not known yet which devices are whose"
	}
	return ""
}

// Equal reports whether both decide alike about all flows, as far as can be seen without trying.
func (p *Policy) Equal(o *Policy) bool {
	if p == o || p == nil || o == nil {
		return p == o
	}
	return p.closed == o.closed && reflect.DeepEqual(p.slots, o.slots) && reflect.DeepEqual(p.bridged, o.bridged) &&
		reflect.DeepEqual(p.host, o.host) && equalOwn(p.own, o.own) && equalPaths(p.paths, o.paths)
}

func equalOwn(a, b map[ownKey]own) bool {
	if len(a) != len(b) {
		return false
	}
	for k, one := range a {
		other, ok := b[k]
		if !ok || (one.forward == nil) != (other.forward == nil) || one.set != other.set && !reflect.DeepEqual(one.set, other.set) {
			return false
		}
	}
	return true
}

func refused(why string) Decision { return Decision{Reason: flow.Forbidden, Detail: why} }
