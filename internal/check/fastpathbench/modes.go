// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The addresses of each lab.
//
//	guest 10.0.0.2 --- tap-red [br-red 10.0.0.1] hypervisor [uplink 192.0.2.254] --- outside 192.0.2.1
//
// All of 198.18.0.0/16 is the outside's, too. Where the guest's network reaches to the outside, the latter is
// 10.0.0.3 in it.
const (
	guestAddr   = "10.0.0.2"
	bridgeAddr  = "10.0.0.1"
	peerAddr    = "10.0.0.3"
	uplinkAddr  = "192.0.2.254"
	outsideAddr = "192.0.2.1"
	many        = "198.18.0.0/16"
)

// mode is how the hypervisor forwards.
type mode struct {
	name, summary string
	// direct is a veth pair without a hypervisor; switched has the uplink in the bridge; tunnelled
	// has a tunnel in it; else the hypervisor routes.
	direct, switched, tunnelled bool
	masquerade                  bool
}

func modes() []mode {
	return []mode{
		{name: "nat", summary: "from a bridge to the uplink, source translated", masquerade: true},
		{name: "bridge", summary: "port and uplink in one bridge", switched: true},
		{name: "routed", summary: "from a bridge to the uplink, routed alone"},
		{name: "vxlan", summary: "port and VXLAN tunnel in one bridge", tunnelled: true},
	}
}

// bareMode is what all are compared with: no hypervisor.
func bareMode() mode { return mode{name: bare, summary: "one veth pair", direct: true} }

func findMode(name string) (mode, error) {
	var names []string
	for _, m := range modes() {
		if m.name == name {
			return m, nil
		}
		names = append(names, m.name)
	}
	return mode{}, fmt.Errorf("-modes: %q is not one of %v", name, names)
}

// target is the outside's own address, to which the guest connects.
func (m mode) target() netip.Addr {
	if m.direct || m.switched || m.tunnelled {
		return netip.MustParseAddr(peerAddr)
	}
	return netip.MustParseAddr(outsideAddr)
}

// device is one that is to be brought up.
type device struct {
	in         func(*lab) *netns.NS
	name, addr string
	mtu        int
	next, own  bool // its hardware address is that to which the guest sends, or the guest's
}

// tunnelMTU is what a tunnel leaves of 1500 bytes.
const tunnelMTU = 1450

func (m mode) devices() []device {
	guest, hypervisor, outside := func(l *lab) *netns.NS { return l.guest }, func(l *lab) *netns.NS { return l.hypervisor },
		func(l *lab) *netns.NS { return l.outside }
	own := device{in: guest, name: guestDevice, addr: guestAddr + "/24", own: true}
	all := []device{{in: guest, name: "lo"}, {in: outside, name: "lo"}}
	if m.direct {
		return append(all, own, device{in: outside, name: guestDevice, addr: peerAddr + "/24", next: true})
	}
	all = append(all, device{in: hypervisor, name: portDevice})
	switch {
	case m.switched:
		return append(all, own, device{in: hypervisor, name: bridgeDevice}, device{in: hypervisor, name: uplinkDevice},
			device{in: outside, name: guestDevice, addr: peerAddr + "/24", next: true})
	case m.tunnelled:
		own.mtu = tunnelMTU
		return append(all, own,
			device{in: hypervisor, name: uplinkDevice, addr: uplinkAddr + "/24"},
			device{in: outside, name: guestDevice, addr: outsideAddr + "/24"},
			device{in: hypervisor, name: tunnelDevice}, device{in: hypervisor, name: bridgeDevice},
			device{in: outside, name: tunnelDevice, addr: peerAddr + "/24", next: true})
	}
	return append(all, own,
		device{in: hypervisor, name: bridgeDevice, addr: bridgeAddr + "/24", next: true},
		device{in: hypervisor, name: uplinkDevice, addr: uplinkAddr + "/24"},
		device{in: outside, name: guestDevice, addr: outsideAddr + "/24"})
}
