// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// bridge is the paper's "bridge": the guest hangs on a bridge in the hypervisor,
// which forwards from the bridge to its NIC and masquerades IPv4. The listing is
// bridge-ovs.txt; a Linux bridge stands in for Open vSwitch.
//
//	guest                      hypervisor                          outside
//	┌───────────────────┐      ┌───────────────────────────┐      ┌─────────────────────┐
//	│        brovsns-ns ├──────┤ brovsns-br ─ ovs-br  ens3 ├──────┤ outside0         lo │
//	└───────────────────┘ veth └───────────────────────────┘ veth └─────────────────────┘
//
//	brovsns-ns  192.168.0.10/24      2001:db8:0:1::10/64
//	ovs-br      192.168.0.1/24       2001:db8:0:1::1/64
//	ens3        192.168.122.208/24   2001:db8:0:122::208/64   masquerades IPv4
//	outside0    192.168.122.1/24     2001:db8:0:122::1/64
//	lo          203.0.113.8/32       2001:db8:0:113::8/128    what the guest pings
//
// The paper pinged 8.8.8.8; here it is an address of the documentation range
// (RFC 5737), so that no packet can ever be meant for somebody. IPv6 is routed,
// not masqueraded: outside knows the way back.
func bridge() Topology {
	return Topology{
		Name:    "bridge",
		Summary: "guest on a bridge in the hypervisor, NAT to the NIC",
		Spaces: []Space{
			{Role: Guest, Routes: defaults("192.168.0.1", "2001:db8:0:1::1")},
			{
				Role: Hypervisor, Forward: true, Masquerade: []string{"ens3"},
				Routes: defaults("192.168.122.1", "2001:db8:0:122::1"),
			},
			outside(via("2001:db8:0:1::/64", "2001:db8:0:122::208")),
		},
		Bridges: []Bridge{
			{Port{In: Hypervisor, Name: "ovs-br", Addrs: addrs("192.168.0.1/24", "2001:db8:0:1::1/64")}},
		},
		Veths: []Veth{
			{
				{In: Guest, Name: "brovsns-ns", Addrs: addrs("192.168.0.10/24", "2001:db8:0:1::10/64")},
				{In: Hypervisor, Name: "brovsns-br", Bridge: "ovs-br"},
			},
			uplink(),
		},
		Target4: netip.MustParseAddr(target4),
		Target6: netip.MustParseAddr(target6),
	}
}
