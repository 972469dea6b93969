// SPDX-License-Identifier: Apache-2.0

// Package tenant says what belongs to whom on a host that several tenants share.
//
// A tenant owns ports, bridges, namespaces and prefixes. What a packet belongs to is
// determined by where it is seen, on whose device or in whose namespace, and not by its
// addresses: tenants may have the same ones. So no two tenants may own the same device or
// namespace, but the same prefix they may. Prefixes only say which addresses a tenant
// must not see because they are another's.
//
// The package knows nothing of the kernel or of traces: the inventory applies it to what it
// finds, and firewall and fast path may use it too.
package tenant

import "net/netip"

// Tenant is what one tenant owns. Where it says names, an element may also be a pattern as
// of [path.Match].
type Tenant struct {
	// ID is the tenant's name: see [CheckID].
	ID string
	// Origin says where the tenant is defined, for messages: "/etc/dwell/tenants.d/red.yaml:3".
	Origin string
	// Ports are names or alternative names of devices in hypervisors: the host's end of a
	// guest's link.
	Ports []string
	// Bridges are names of Linux bridges and of bridges of Open vSwitch in hypervisors. All
	// their ports belong to the tenant as well.
	Bridges []string
	// Prefixes are the addresses of the tenant's guests.
	Prefixes []netip.Prefix
	// NetNS are references to network namespaces, as those of trace.netns.
	NetNS []string
	// Containers are names or IDs of containers, or names of pods.
	Containers []string
	// VMs are names of libvirt domains, whose taps are found by libvirt's record of them.
	VMs []string
	// NeutronPorts are UUIDs of OpenStack's ports, whose devices are named after them.
	NeutronPorts []string
}
