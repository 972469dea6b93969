// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// tenants is not the paper's: two tenants, red and blue, share a hypervisor and its NIC,
// and their guests have the same IPv4 address, as guests of tenants who do not know of each
// other do. To the outside, and to each other, they are 198.51.100.11 and 198.51.100.12, which
// the hypervisor translates one to one.
//
//	red              hypervisor                                outside
//	┌───────┐        ┌────────────────────────────────┐        ┌─────────────┐
//	│  red0 ├────────┤ tap-red-0 ─ br-red             │        │             │
//	└───────┘  veth  │                           ens3 ├────────┤ outside0 lo │
//	┌───────┐        │ tap-blue-0 ─ br-blue           │  veth  └─────────────┘
//	│ blue0 ├────────┤                                │
//	└───────┘  veth  └────────────────────────────────┘
//	blue
//
//	red0      192.168.0.10/24      2001:db8:0:a::10/64   198.51.100.11 to others
//	blue0     192.168.0.10/24      2001:db8:0:b::10/64   198.51.100.12 to others
//	br-red    192.168.0.1/32       2001:db8:0:a::1/64
//	br-blue   192.168.0.1/32       2001:db8:0:b::1/64
//	ens3      192.168.122.208/24   2001:db8:0:122::208/64
//	outside0  192.168.122.1/24     2001:db8:0:122::1/64
//	lo        203.0.113.8/32       2001:db8:0:113::8/128   what both ping
//
// IPv6 is routed, not translated, and so has equal addresses nowhere: each tenant has a
// network of its own. That the bridges' IPv4 addresses are without a network is because
// the network is in each tenant's own routing table: see [Tenant].
func tenants() Topology {
	return Topology{
		Name:    "tenants",
		Summary: "two tenants with the same guest address on one hypervisor",
		Spaces: []Space{
			{Role: Red, Routes: defaults("192.168.0.1", "2001:db8:0:a::1")},
			{Role: Blue, Routes: defaults("192.168.0.1", "2001:db8:0:b::1")},
			{
				Role: Hypervisor, Forward: true, Routes: defaults("192.168.122.1", "2001:db8:0:122::1"),
				Tenants: []Tenant{tenantOf(Red, "br-red", "198.51.100.11"), tenantOf(Blue, "br-blue", "198.51.100.12")},
			},
			outside(
				via("198.51.100.0/24", "192.168.122.208"),
				via("2001:db8:0:a::/64", "2001:db8:0:122::208"),
				via("2001:db8:0:b::/64", "2001:db8:0:122::208"),
			),
		},
		Bridges: []Bridge{
			{Port{In: Hypervisor, Name: "br-red", Addrs: addrs("192.168.0.1/32", "2001:db8:0:a::1/64")}},
			{Port{In: Hypervisor, Name: "br-blue", Addrs: addrs("192.168.0.1/32", "2001:db8:0:b::1/64")}},
		},
		Veths: []Veth{
			{
				{In: Red, Name: "red0", Addrs: addrs("192.168.0.10/24", "2001:db8:0:a::10/64")},
				{In: Hypervisor, Name: "tap-red-0", Bridge: "br-red"},
			},
			{
				{In: Blue, Name: "blue0", Addrs: addrs("192.168.0.10/24", "2001:db8:0:b::10/64")},
				{In: Hypervisor, Name: "tap-blue-0", Bridge: "br-blue"},
			},
			uplink(),
		},
		Target4: netip.MustParseAddr(target4),
		Target6: netip.MustParseAddr(target6),
	}
}

// tenantOf describes a tenant with the guest address that all of them have.
func tenantOf(role, bridge, public string) Tenant {
	return Tenant{
		Role: role, Bridge: bridge,
		Network: netip.MustParsePrefix("192.168.0.0/24"),
		Guest:   netip.MustParseAddr("192.168.0.10"),
		Public:  netip.MustParseAddr(public),
	}
}
