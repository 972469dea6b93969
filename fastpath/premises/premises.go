// SPDX-License-Identifier: Apache-2.0

// Package premises reads the rules of others, and says what a tenant's programs may rely on:
// which packets may be translated before FORWARD, what must have been seen before a packet is
// dropped early, and which bit of the mark is free.
//
// It claims too much rather than too little: a rule that it does not understand may match any
// packet and do anything.
package premises

import (
	"context"
	"errors"
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Premises are what holds for one tenant's packets of one family.
type Premises struct {
	// Defer are packets of the tenant whose destination may be translated before FORWARD.
	Defer []header.Box
	// Zones are the zones of connection tracking in which the tenant's packets may be, in order;
	// 0 is always one.
	Zones []uint16
	// Marks are those, beside 0, that the host's routing may ask for.
	Marks []uint32
	// NoDrop says why a packet must not be dropped at TC ingress, such as that a rule logs it
	// before FORWARD. "" if it may be.
	NoDrop string
	// ICMPState says which rule looks at the state of connections, so that ICMP, of which
	// the programs cannot tell whether there is a connection, must not be dropped at TC ingress.
	// The tenants' own rules are not counted. "" if none does.
	ICMPState string
	// NoTag says why packets must not be tagged at TC ingress: what FORWARD will see cannot be
	// told from what arrives. Then nothing may be decided at TC ingress. "" if they may be.
	NoTag string
}

// Foreign is the rules of others in one namespace, at one moment.
type Foreign struct {
	// FreeBit is the highest bit of the mark that nobody uses, or 0.
	FreeBit uint32
	// Forwarding4 and Forwarding6 are set if the host forwards packets at all.
	Forwarding4, Forwarding6 bool
	// Bridged4 and Bridged6 are set if iptables sees packets between ports of one bridge
	// (bridge-nf-call-iptables).
	Bridged4, Bridged6 bool
}

// Read reads the rules of others in the namespace, nil for the process's.
func Read(_ context.Context, _ *netns.NS) (*Foreign, error) {
	return nil, errors.ErrUnsupported
}

// For returns what holds for the tenant. The addresses are all those of the host.
func (f *Foreign) For(_ header.Family, _ *scope.Tenant, _ []netip.Addr) *Premises {
	return nil
}

// Watch calls changed after the rules of others may have changed, also dwell's own, until ctx is
// done. It does so from one goroutine, once at first when nothing that happens after it can be
// missed. Rules of legacy iptables are compared every second, because the kernel does not
// announce them.
func Watch(_ context.Context, _ *netns.NS, _ func()) error {
	return errors.ErrUnsupported
}
