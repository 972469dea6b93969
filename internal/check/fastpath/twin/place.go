// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"net"
	"net/netip"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// The ends of the wires that lead into a hypervisor: two guests of the tenant red on one bridge, one of
// the tenant blue on another, and what is outside.
const (
	Guest0 = iota
	Guest1
	Blue
	Outside
	Ends
)

// Names of devices.
const (
	RedBridge  = "br-red"
	BlueBridge = "br-blue"
	Uplink     = "ens3"
	tunnel     = "vx100"
)

const (
	mtu = 1500 // of the NIC
	// jumbo is the MTU of ports, so that guests can send what is too long for the NIC.
	jumbo = 9000
	vni   = 100
)

// port is a device of the hypervisor, and the end of the wire that is behind it.
type port struct{ name, wire, mac, far string }

var ports = [Ends]port{
	Guest0:  {name: "tap-red-0", wire: "g0", mac: "02:00:00:00:01:00", far: "02:00:00:00:00:10"},
	Guest1:  {name: "tap-red-1", wire: "g1", mac: "02:00:00:00:01:01", far: "02:00:00:00:00:11"},
	Blue:    {name: "tap-blue-0", wire: "b0", mac: "02:00:00:00:01:02", far: "02:00:00:00:00:12"},
	Outside: {name: Uplink, wire: "o0", mac: "02:00:00:00:01:03", far: "02:00:00:00:00:20"},
}

// Addresses of devices, and of who is at the other end of the tunnel.
const (
	redMAC    = "02:00:00:00:02:00"
	blueMAC   = "02:00:00:00:02:01"
	tunnelMAC = "02:00:00:00:03:00"
	remoteMAC = "02:00:00:00:00:30"

	red4, red6       = "192.168.0.1", "2001:db8:a::1"
	blue4, blue6     = "192.168.1.1", "2001:db8:a:1::1"
	uplink4, uplink6 = "192.0.2.1", "2001:db8:c::1"
	router4, router6 = "192.0.2.2", "2001:db8:c::2"
	inner4, inner6   = "10.0.0.1", "2001:db8:e::1"
	remote4, remote6 = "10.0.0.2", "2001:db8:e::2"
)

// party is somebody who speaks: an address at an end.
type party struct {
	end   int
	addrs [2]netip.Addr // IPv4, IPv6
}

func parties(end int, addrs ...string) party {
	return party{end, [2]netip.Addr{netip.MustParseAddr(addrs[0]), netip.MustParseAddr(addrs[1])}}
}

// The guests. The third is behind the first one's port, and has an address of its own outside.
var guests = []party{
	parties(Guest0, "192.168.0.10", "2001:db8:a::10"),
	parties(Guest1, "192.168.0.11", "2001:db8:a::11"),
	parties(Guest0, "192.168.0.12", "2001:db8:a::12"),
	parties(Blue, "192.168.1.10", "2001:db8:a:1::10"),
}

const blueGuest = 3

// Who is outside: beyond a router, or on the guests' own network.
var (
	far = []party{
		parties(Outside, "203.0.113.8", "2001:db8:b::8"),
		parties(Outside, "203.0.113.9", "2001:db8:b::9"),
		parties(Outside, moved4, moved6),
	}
	near = []party{
		parties(Outside, "192.168.0.100", "2001:db8:a::100"),
		parties(Outside, "192.168.0.101", "2001:db8:a::101"),
	}
)

// gateway is where a party sends what is to be routed.
func (s *Spec) gateway(end int) net.HardwareAddr {
	switch {
	case end == Blue:
		return frame.MAC(blueMAC)
	case end != Outside:
		return frame.MAC(redMAC)
	case s.Overlay == Routed:
		return frame.MAC(tunnelMAC)
	}
	return frame.MAC(ports[Outside].mac)
}

// own is the Ethernet address that a party's frames come from.
func (s *Spec) own(end int) net.HardwareAddr {
	if end == Outside && s.Overlay != Plain {
		return frame.MAC(remoteMAC)
	}
	return frame.MAC(ports[end].far)
}
