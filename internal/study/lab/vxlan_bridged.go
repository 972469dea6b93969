// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// vxlanBridged is the paper's bridged tunnel: guests on two hosts, each host with
// a bridge that switches between its guest and a VXLAN tunnel (network identifier
// 42) through a router. The listing is tunnel-bridged.txt, which does not show the
// packets outside the tunnel; their way is that of the vxlan topology.
//
//	guest                near                             router               far                              remote
//	┌────────────┐      ┌───────────────────────────┐      ┌─────────────┐      ┌───────────────────────────┐      ┌────────────┐
//	│ v-vxns1-br ├──────┤ v-br-vxns1 ─ br ─ vxlan0  │      │             │      │  vxlan0 ─ br ─ v-br-vxns2 ├──────┤ v-vxns2-br │
//	└────────────┘ veth │                  ═ veth0  ├──────┤ veth1 veth2 ├──────┤  veth3 ═                  │ veth └────────────┘
//	                    └───────────────────────────┘ veth └─────────────┘ veth └───────────────────────────┘
//
//	v-vxns1-br  192.168.4.1/24       2001:db8:0:4::1/64
//	veth0       192.168.100.1/24
//	veth1       192.168.100.2/24
//	veth2       192.168.200.2/24
//	veth3       192.168.200.1/24
//	v-vxns2-br  192.168.4.2/24       2001:db8:0:4::2/64   what the guest pings
func vxlanBridged() Topology {
	near, far := netip.MustParseAddr("192.168.100.1"), netip.MustParseAddr("192.168.200.1")
	return Topology{
		Name:    "vxlan-bridged",
		Summary: "bridges on two hosts with a VXLAN tunnel between them",
		Spaces: []Space{
			{Role: Guest},
			{Role: Near, Routes: []Route{via("192.168.200.0/24", "192.168.100.2")}},
			{Role: Router, Forward: true},
			{Role: Far, Routes: []Route{via("192.168.100.0/24", "192.168.200.2")}},
			{Role: Remote},
		},
		Bridges: []Bridge{{Port{In: Near, Name: "br"}}, {Port{In: Far, Name: "br"}}},
		Veths: []Veth{
			{
				{In: Guest, Name: "v-vxns1-br", Addrs: addrs("192.168.4.1/24", "2001:db8:0:4::1/64")},
				{In: Near, Name: "v-br-vxns1", Bridge: "br"},
			},
			{
				{In: Near, Name: "veth0", Addrs: addrs("192.168.100.1/24")},
				{In: Router, Name: "veth1", Addrs: addrs("192.168.100.2/24")},
			},
			{
				{In: Router, Name: "veth2", Addrs: addrs("192.168.200.2/24")},
				{In: Far, Name: "veth3", Addrs: addrs("192.168.200.1/24")},
			},
			{
				{In: Far, Name: "v-br-vxns2", Bridge: "br"},
				{In: Remote, Name: "v-vxns2-br", Addrs: addrs("192.168.4.2/24", "2001:db8:0:4::2/64")},
			},
		},
		VXLANs: []VXLAN{
			{Port: Port{In: Near, Name: "vxlan0", Bridge: "br"}, VNI: 42, Local: near, Remote: far},
			{Port: Port{In: Far, Name: "vxlan0", Bridge: "br"}, VNI: 42, Local: far, Remote: near},
		},
		Target4: netip.MustParseAddr("192.168.4.2"),
		Target6: netip.MustParseAddr("2001:db8:0:4::2"),
	}
}
