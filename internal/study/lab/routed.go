// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// routed is the paper's "routed": a router namespace stands between the guest and
// the hypervisor. The listing is routed.txt.
//
//	guest                   router                      hypervisor             outside
//	┌────────────────┐      ┌───────────────────┐      ┌───────────────┐      ┌─────────────┐
//	│     rovsns-ns1 ├──────┤ rovsns-r1  rovs-1 ├──────┤ rovs-2   ens3 ├──────┤ outside0 lo │
//	└────────────────┘ veth └───────────────────┘ veth └───────────────┘ veth └─────────────┘
//
//	rovsns-ns1  192.168.2.10/24      2001:db8:0:2::10/64
//	rovsns-r1   192.168.2.1/24       2001:db8:0:2::1/64
//	rovs-1      192.168.3.1/24       2001:db8:0:3::1/64
//	rovs-2      192.168.3.2/24       2001:db8:0:3::2/64
//	ens3        192.168.122.208/24   2001:db8:0:122::208/64   masquerades IPv4
//	outside0    192.168.122.1/24     2001:db8:0:122::1/64
//	lo          203.0.113.8/32       2001:db8:0:113::8/128    what the guest pings
func routed() Topology {
	return Topology{
		Name:    "routed",
		Summary: "guest behind a router namespace, NAT to the NIC",
		Spaces: []Space{
			{Role: Guest, Routes: defaults("192.168.2.1", "2001:db8:0:2::1")},
			{Role: Router, Forward: true, Routes: defaults("192.168.3.2", "2001:db8:0:3::2")},
			{
				Role: Hypervisor, Forward: true, Masquerade: []string{"ens3"},
				Routes: append(defaults("192.168.122.1", "2001:db8:0:122::1"),
					via("192.168.2.0/24", "192.168.3.1"), via("2001:db8:0:2::/64", "2001:db8:0:3::1")),
			},
			outside(via("2001:db8:0:2::/64", "2001:db8:0:122::208")),
		},
		Veths: []Veth{
			{
				{In: Guest, Name: "rovsns-ns1", Addrs: addrs("192.168.2.10/24", "2001:db8:0:2::10/64")},
				{In: Router, Name: "rovsns-r1", Addrs: addrs("192.168.2.1/24", "2001:db8:0:2::1/64")},
			},
			{
				{In: Router, Name: "rovs-1", Addrs: addrs("192.168.3.1/24", "2001:db8:0:3::1/64")},
				{In: Hypervisor, Name: "rovs-2", Addrs: addrs("192.168.3.2/24", "2001:db8:0:3::2/64")},
			},
			uplink(),
		},
		Target4: netip.MustParseAddr(target4),
		Target6: netip.MustParseAddr(target6),
	}
}
