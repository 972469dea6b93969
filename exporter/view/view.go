// SPDX-License-Identifier: Apache-2.0

// Package view makes of a trace what one tenant may see of it.
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
	// Foreign reports whether an address belongs to another tenant and not to this one. It may be
	// nil.
	Foreign func(netip.Addr) bool
}

// Of returns what the tenant may see of t, or nil if nothing in it is the tenant's. It does not
// change t, and shares no memory with it that is changed later.
func (v *Viewer) Of(t *trace.Trace) *trace.Trace {
	return nil // to come
}
