// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net/netip"

	"github.com/vishvananda/netlink"
)

// basicRoads are veth pairs, bridges and routers, which the other roads are made of.
func basicRoads() []road {
	return []road{
		{
			name: "veth", what: "a veth pair, IPv4 and IPv6",
			setup: func(w *world) { w.pair(); w.warm("a", "192.0.2.2", "2001:db8:2::2") },
			pings: []traffic{
				{from: "a", to: "192.0.2.2", src: "192.0.2.1", want: way(pairWay).and(func(w *want) { w.payload = 56 })},
				{from: "a", to: "2001:db8:2::2", src: "2001:db8:2::1", want: way(pairWay).and(func(w *want) { w.payload = 56 })},
			},
		},
		{
			name: "bridge", what: "a bridge",
			setup: func(w *world) { w.bridged(); w.warm("a", "192.0.2.2") },
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way(bridgeWay)}},
		},
		{
			name: "router", what: "a router, IPv4 and IPv6",
			setup: func(w *world) { w.routed(); w.warm("a", "198.18.2.2", "2001:db8:2::2") },
			pings: []traffic{{from: "a", to: "198.18.2.2", want: way(routedWay)}, {from: "a", to: "2001:db8:2::2", want: way(routedWay)}},
		},
		{
			name: "loopback", what: "the loopback device",
			setup: func(w *world) { w.ns("a") },
			pings: []traffic{
				{from: "a", to: "127.0.0.1", want: way("[a] transmit lo | link lo | deliver")},
				{from: "a", to: "::1", want: way("[a] transmit lo | link lo | deliver")},
			},
		},
		{
			name: "netkit", what: "a netkit pair", needs: []string{"netkit"},
			setup: func(w *world) {
				w.ns("a", "b")
				nk := &netlink.Netkit{LinkAttrs: named("nka"), Mode: netlink.NETKIT_MODE_L2, Policy: netlink.NETKIT_POLICY_FORWARD, PeerPolicy: netlink.NETKIT_POLICY_FORWARD}
				peer := named("nkb")
				nk.SetPeerAttrs(&peer)
				w.link("a", nk)
				w.move("a", "nkb", "b")
				w.addr("a", "nka", "192.0.2.1/24")
				w.addr("b", "nkb", "192.0.2.2/24")
				w.warm("a", "192.0.2.2")
			},
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way("[{1}] transmit nk{1} | link nk{1} -> nk{2} [{2}] deliver")}},
		},
		{
			name: "dummy", what: "a dummy device, which swallows what it is given", needs: []string{"dummy"},
			setup: func(w *world) {
				w.ns("a")
				w.link("a", &netlink.Dummy{LinkAttrs: named("d0")})
				w.addr("a", "d0", "192.0.2.1/24")
			},
			pings: []traffic{{from: "a", to: "192.0.2.9", want: want{outcome: "incomplete", cause: "no_reply", request: "[a] transmit d0 | driver d0"}}},
		},
	}
}

// tapRoads are virtual machines.
func tapRoads() []road {
	vm := func(name, what string, flags uint16, queues int) road {
		var g *guest
		return road{
			name: name, what: what, needs: []string{"tun"},
			setup: func(w *world) { g = w.tapped(flags, queues) },
			pings: guestPings(func() *guest { return g }, tapWays()),
		}
	}
	var g *guest
	return []road{
		vm("tap", "a virtual machine behind a tap on a bridge", 0, 1),
		vm("tap-multiqueue", "a virtual machine behind a tap with two queues", unixMultiQueue, 2),
		vm("tap-napi", "a virtual machine behind a tap with NAPI", unixNAPI, 1),
		{
			name: "macvtap", what: "a virtual machine behind a macvtap", needs: []string{"macvtap"},
			setup: func(w *world) { g = w.macvtap() },
			pings: guestPings(func() *guest { return g }, macvtapWays()),
		},
	}
}

// Flags of TUNSETIFF.
const (
	unixMultiQueue = 0x0100
	unixNAPI       = 0x0010
)

// guestWays are the ways of the guest's pings and of those that it answers.
type guestWays struct{ sent, answered want }

func tapWays() guestWays {
	in := "[out] transmit out0 | link out0 -> up0 [hv] bridge br0 | queue tap0 | driver tap0"
	out := "[hv] bridge br0 | queue up0 | link up0 -> out0 [out] deliver"
	return guestWays{want{request: out, reply: in}, want{request: in, reply: out, between: "beyond tap0"}}
}

func macvtapWays() guestWays {
	// No hook sees the packet in the macvtap, whose queue a program reads.
	in := "[out] transmit out0 | link out0 -> up0 [hv] softirq wait"
	out := "[hv] transmit mvt0 | stacked mvt0 -> up0 | transmit up0 | link up0 -> out0 [out] deliver"
	return guestWays{want{request: out, reply: in}, want{request: in, reply: out}}
}

// guestPings pings from the guest and to it.
func guestPings(g func() *guest, ways guestWays) []traffic {
	return []traffic{
		{
			from: "hv", to: "192.0.2.1", src: guestAddr, want: ways.sent,
			send: func(w *world, s *space, to netip.Addr, id uint16, n int) (int, error) {
				return g().send(w, s, to, id, n)
			},
		},
		{from: "out", to: guestAddr, src: "192.0.2.1", want: ways.answered},
	}
}
