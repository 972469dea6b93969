// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// nat is the paper's "NAT": the guest hangs on the NAT device, ovs-nat, whose
// network is the hypervisor's own to hide. The listing is nat.txt. To the packet
// it is the bridge topology with other names, as it was in the paper; IPv6 has no
// NAT, and so the guest has IPv4 only.
//
//	guest                    hypervisor                            outside
//	┌─────────────────┐      ┌──────────────────────────────┐      ┌─────────────┐
//	│     natovsns-ns ├──────┤ natovsns-nat ─ ovs-nat  ens3 ├──────┤ outside0 lo │
//	└─────────────────┘ veth └──────────────────────────────┘ veth └─────────────┘
//
//	natovsns-ns  192.168.1.10/24
//	ovs-nat      192.168.1.1/24
//	ens3         192.168.122.208/24   masquerades IPv4
//	outside0     192.168.122.1/24
//	lo           203.0.113.8/32       what the guest pings
func nat() Topology {
	return Topology{
		Name:    "nat",
		Summary: "guest on a NAT device in the hypervisor, IPv4 only",
		Spaces: []Space{
			{Role: Guest, Routes: defaults("192.168.1.1")},
			{Role: Hypervisor, Forward: true, Masquerade: []string{"ens3"}, Routes: defaults("192.168.122.1")},
			outside(),
		},
		Bridges: []Bridge{
			{Port{In: Hypervisor, Name: "ovs-nat", Addrs: addrs("192.168.1.1/24")}},
		},
		Veths: []Veth{
			{
				{In: Guest, Name: "natovsns-ns", Addrs: addrs("192.168.1.10/24")},
				{In: Hypervisor, Name: "natovsns-nat", Bridge: "ovs-nat"},
			},
			uplink(),
		},
		Target4: netip.MustParseAddr(target4),
	}
}
