// SPDX-License-Identifier: Apache-2.0

package lab

// What the guest pings, of the ranges reserved for documentation (RFC 5737, RFC
// 3849).
const (
	target4 = "203.0.113.8"
	target6 = "2001:db8:0:113::8"
)

// Uplink is the name of the hypervisor's NIC.
const Uplink = "ens3"

// uplink is the hypervisor's NIC and the wire to the outside, the same in every
// topology that has a hypervisor.
func uplink() Veth {
	return Veth{
		{In: Hypervisor, Name: Uplink, Addrs: addrs("192.168.122.208/24", "2001:db8:0:122::208/64")},
		{In: Outside, Name: "outside0", Addrs: addrs("192.168.122.1/24", "2001:db8:0:122::1/64")},
	}
}

// outside answers for the rest of the world. It has no route back to the guest's
// IPv4 network: a packet that was not masqueraded is lost.
func outside(routes ...Route) Space {
	return Space{Role: Outside, Loopback: addrs(target4+"/32", target6+"/128"), Routes: routes}
}
