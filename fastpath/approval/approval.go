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
	in Inputs
	// closed says why nothing is approved, or is "".
	closed string
}

// New makes a policy.
func New(in Inputs) *Policy {
	p := &Policy{in: in}
	if in.Foreign == nil {
		p.closed = "the rules of others could not be read"
	}
	return p
}

// Equal reports whether both decide alike about all flows, as far as can be told.
func (p *Policy) Equal(o *Policy) bool { return p == o }

// Judge decides about a flow, of which these are the two directions.
func (p *Policy) Judge(_, _ *flow.Flow) Decision {
	if p.closed != "" {
		return refused(p.closed)
	}
	return refused("flows are not judged yet")
}

func refused(why string) Decision { return Decision{Reason: flow.Forbidden, Detail: why} }
