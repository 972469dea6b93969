// SPDX-License-Identifier: Apache-2.0

package bystanders

import "net/netip"

// snapshot is what was read of a namespace. What it means is worked out without the kernel.
type snapshot struct {
	// devices are by index.
	devices map[int]*device
	// defaults are the devices of default routes of all tables.
	defaults []int
	// bridged says what of legacy ebtables looks at frames between ports of bridges, or is "".
	bridged string
}

// device is what was read of one.
type device struct {
	index    int
	name     string
	kind     string // the kernel's word; "device" is hardware
	ethernet bool
	loopback bool
	// master is the device that it belongs to, below the one on top of which it is, in this
	// namespace, or 0.
	master, below int
	// peer is the index of the other end of a pair, or 0; peerNS the number of its namespace, or
	// here.
	peer, peerNS int
	// peerInode is its namespace, 0 if that is not known.
	peerInode uint32
	// peerProgram says what is at the other end that would be passed over, or that this is not known.
	peerProgram string
	// remote is where a tunnel's other end is, underlay by which device that is reached, or 0.
	remote   netip.Addr
	underlay int
	// udp is the UDP port of a VXLAN tunnel, or 0.
	udp uint16
	// inherits is set if a VXLAN tunnel's outer headers are made of each packet inside.
	inherits bool
	// ageing is after how many hundredths of a second a bridge forgets a MAC.
	ageing int
	// queues are the kinds of its queueing disciplines for what leaves.
	queues []string
	// foreign are programs, filters and hooks of others, in words.
	foreign []string
	// xdp says which program is at XDP, or is "".
	xdp string
}

// here is the number of a namespace that is the same.
const here = -1

// shaper returns the queueing discipline that does more than to let packets wait for the device, or "".
func (d *device) shaper() string {
	for _, q := range d.queues {
		switch q {
		case "noqueue", "pfifo_fast", "fq_codel", "fq", "mq":
		default:
			return q
		}
	}
	return ""
}

// Kinds of devices.
const (
	kindBridge   = "bridge"
	kindHardware = "device"
	kindVeth     = "veth"
	kindTap      = "tuntap"
)

// tunnel reports whether what is sent by the device leaves by another, in a tunnel.
func (d *device) tunnel() bool {
	switch d.kind {
	case "vxlan", "geneve", "gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm",
		"wireguard", "fou", "gtp", "bareudp", "tun":
		return true
	}
	return false
}
