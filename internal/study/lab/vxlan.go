// SPDX-License-Identifier: Apache-2.0

package lab

import "net/netip"

// vxlan is the paper's "tunnel": two hosts, the guest's and a remote one, with a
// router between them and a VXLAN tunnel (network identifier 42) through it. The
// listing is tunnel.txt. There is no hypervisor and nothing outside.
//
//	guest                   router                  remote
//	┌────────────────┐      ┌───────────────┐      ┌────────────────┐
//	│ vxlan0 ═ veth0 ├──────┤ veth1   veth2 ├──────┤ veth3 ═ vxlan0 │
//	└────────────────┘ veth └───────────────┘ veth └────────────────┘
//
//	vxlan0 (guest)   10.0.0.1/24          2001:db8:0:10::1/64
//	veth0            192.168.100.1/24
//	veth1            192.168.100.2/24
//	veth2            192.168.200.2/24
//	veth3            192.168.200.1/24
//	vxlan0 (remote)  10.0.0.2/24          2001:db8:0:10::2/64   what the guest pings
func vxlan() Topology {
	near, far := netip.MustParseAddr("192.168.100.1"), netip.MustParseAddr("192.168.200.1")
	return Topology{
		Name:    "vxlan",
		Summary: "VXLAN tunnel to another host, through a router",
		Spaces: []Space{
			{Role: Guest, Routes: []Route{via("192.168.200.0/24", "192.168.100.2")}},
			{Role: Router, Forward: true},
			{Role: Remote, Routes: []Route{via("192.168.100.0/24", "192.168.200.2")}},
		},
		Veths: []Veth{
			{
				{In: Guest, Name: "veth0", Addrs: addrs("192.168.100.1/24")},
				{In: Router, Name: "veth1", Addrs: addrs("192.168.100.2/24")},
			},
			{
				{In: Router, Name: "veth2", Addrs: addrs("192.168.200.2/24")},
				{In: Remote, Name: "veth3", Addrs: addrs("192.168.200.1/24")},
			},
		},
		VXLANs: []VXLAN{
			{Port: Port{In: Guest, Name: "vxlan0", Addrs: addrs("10.0.0.1/24", "2001:db8:0:10::1/64")}, VNI: 42, Local: near, Remote: far},
			{Port: Port{In: Remote, Name: "vxlan0", Addrs: addrs("10.0.0.2/24", "2001:db8:0:10::2/64")}, VNI: 42, Local: far, Remote: near},
		},
		Target4: netip.MustParseAddr("10.0.0.2"),
		Target6: netip.MustParseAddr("2001:db8:0:10::2"),
	}
}
