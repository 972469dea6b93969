// SPDX-License-Identifier: Apache-2.0

// Package view makes of a trace what one tenant may see of it.
//
// A tenant sees the spans on its own devices and in its own namespaces, and the shared way
// from there as far as the next device that belongs to somebody else. The rest is left out as
// if it were on another host: between two parts that are visible stands one span,
// "beyond <device>", which begins and ends with them. So times, names, addresses and
// identifiers of another tenant's inside do not reach the exporter at all; nobody has to
// filter afterwards.
//
// Whatever is not known to be harmless is left out: a device or namespace of which it is not
// known whose it is, an address that was not seen on one of the tenant's own devices in a ping
// that another tenant takes part in, and a span event whose name this package does not know.
package view

import (
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Viewer is a tenant that is to see traces.
type Viewer struct {
	// Tenant is its ID.
	Tenant string
	// Number is what firewall and fast path call it, 0 if it is not known: see
	// trace.AttrTenantNumber.
	Number uint32
	// Foreign reports whether an address may be another tenant's, even if it may be this one's,
	// too. It may be nil.
	Foreign func(netip.Addr) bool
	// ForeignBridge reports whether a bridge in a hypervisor is another tenant's. It may be nil.
	ForeignBridge func(name string) bool
}

// Of returns what the tenant may see of t, or nil if nothing in it is the tenant's. It does not
// change t. What it returns may share memory with t, or be t, so neither may be changed.
func (v *Viewer) Of(t *trace.Trace) *trace.Trace {
	b := builder{viewer: v, from: t}
	b.classify()
	if !b.takesPart() {
		return nil
	}
	b.learnAddresses()
	if b.harmless() {
		return t
	}
	return b.build()
}
