// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// bridgeNamespaces is the paper's bridge in a namespace of its own, between the
// guest and the hypervisor: the one whose table has four rows. The listing is
// bridge-namespaces.txt.
//
//	guest               bridge                                 hypervisor                outside
//	┌────────────┐      ┌───────────────────────────────┐      ┌──────────────────┐      ┌─────────────┐
//	│ brovsns-ns ├──────┤ brovsns-br ─ brovs ─ brovs-br ├──────┤ brovs-host  ens3 ├──────┤ outside0 lo │
//	└────────────┘ veth └───────────────────────────────┘ veth └──────────────────┘ veth └─────────────┘
//
//	brovsns-ns  192.168.0.10/24      2001:db8:0:1::10/64
//	brovs       no address           the bridge only switches
//	brovs-host  192.168.0.1/24       2001:db8:0:1::1/64
//	ens3        192.168.122.208/24   2001:db8:0:122::208/64   masquerades IPv4
//	outside0    192.168.122.1/24     2001:db8:0:122::1/64
//	lo          203.0.113.8/32       2001:db8:0:113::8/128    what the guest pings
func bridgeNamespaces() Topology {
	return Topology{
		Name:    "bridge-namespaces",
		Summary: "bridge in a namespace of its own, NAT to the NIC",
		Spaces: []Space{
			{Role: Guest, Routes: defaults("192.168.0.1", "2001:db8:0:1::1")},
			{Role: Switch},
			{
				Role: Hypervisor, Forward: true, Masquerade: []string{"ens3"},
				Routes: defaults("192.168.122.1", "2001:db8:0:122::1"),
			},
			outside(via("2001:db8:0:1::/64", "2001:db8:0:122::208")),
		},
		Bridges: []Bridge{{Port{In: Switch, Name: "brovs"}}},
		Veths: []Veth{
			{
				{In: Guest, Name: "brovsns-ns", Addrs: addrs("192.168.0.10/24", "2001:db8:0:1::10/64")},
				{In: Switch, Name: "brovsns-br", Bridge: "brovs"},
			},
			{
				{In: Switch, Name: "brovs-br", Bridge: "brovs"},
				{In: Hypervisor, Name: "brovs-host", Addrs: addrs("192.168.0.1/24", "2001:db8:0:1::1/64")},
			},
			uplink(),
		},
		Target4: netip.MustParseAddr(target4),
		Target6: netip.MustParseAddr(target6),
	}
}
