// SPDX-License-Identifier: Apache-2.0

// Package scope says what of a host is a tenant's for the firewall: the devices that only the
// tenant's packets pass, and the ports behind them.
//
// In FORWARD a packet has no port: what comes from a port of a bridge comes from the bridge. So a
// tenant's chain can only be confined to its packets where all ports of the bridge are the
// tenant's. Where they are not, there is a [Tenant.Problem], and no rule is accepted.
package scope

import (
	"net/netip"
	"slices"
)

// Device is a device that iptables' -i and -o see, and that only one tenant's packets pass: a
// bridge, or a port that belongs to no bridge.
type Device struct {
	Name  string
	Index int
	// MAC is the destination of frames that are routed.
	MAC [6]byte
	// Addrs are the device's addresses.
	Addrs []netip.Addr
}

// Port is the hypervisor's end of a guest's link.
type Port struct {
	Name  string
	Index int
	// Device is the index of the [Device] by which its packets are routed: the port itself, or
	// its bridge.
	Device int
}

// Tenant is what is one tenant's.
type Tenant struct {
	ID string
	// Number is [tenant.Set.Number].
	Number   uint32
	Prefixes []netip.Prefix
	Devices  []Device
	Ports    []Port
	// Absent are names of devices that would be the tenant's if they were there.
	Absent []string
	// Problem says, in a sentence, why the tenant cannot have a firewall now, such as that
	// another's port is on its bridge. "" if it can.
	Problem string
}

// Host is all tenants of a host, in order of ID, as they were when it was read.
type Host struct {
	Tenants []Tenant
	// Uplinks are names of devices that lead out of the host.
	Uplinks []string
	// Local are all addresses of the host, of all devices.
	Local []netip.Addr
}

// Get returns the tenant with the ID, or nil.
func (h *Host) Get(id string) *Tenant {
	i := slices.IndexFunc(h.Tenants, func(t Tenant) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &h.Tenants[i]
}

// Owner returns the tenant whose device or port has the name, or nil.
func (h *Host) Owner(name string) *Tenant {
	for i := range h.Tenants {
		t := &h.Tenants[i]
		if slices.ContainsFunc(t.Devices, func(d Device) bool { return d.Name == name }) ||
			slices.ContainsFunc(t.Ports, func(p Port) bool { return p.Name == name }) {
			return t
		}
	}
	return nil
}
