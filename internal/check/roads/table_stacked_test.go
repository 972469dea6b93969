// SPDX-License-Identifier: Apache-2.0

package roads

import "github.com/vishvananda/netlink"

// macvlans makes containers c1 and c2 on macvlan devices of hv's uplink.
func (w *world) macvlans(mode netlink.MacvlanMode, children ...string) {
	w.uplinked()
	w.ns(children...)
	for i, c := range children {
		name := "mv" + string(rune('1'+i))
		w.link("hv", &netlink.Macvlan{LinkAttrs: w.on("hv", "up0", name), Mode: mode})
		w.move("hv", name, c)
		w.addr(c, name, "192.0.2.1"+string(rune('1'+i))+"/24")
	}
	w.warm("out", "192.0.2.11")
}

// ipvlans makes containers c1 and c2 on ipvlan devices of hv's uplink.
func (w *world) ipvlans(mode netlink.IPVlanMode) {
	w.uplinked()
	w.ns("c1", "c2")
	for i, c := range []string{"c1", "c2"} {
		n := string(rune('1' + i))
		w.link("hv", &netlink.IPVlan{LinkAttrs: w.on("hv", "up0", "iv"+n), Mode: mode})
		w.move("hv", "iv"+n, c)
		w.addr(c, "iv"+n, "192.0.2.1"+n+"/24")
		if mode != netlink.IPVLAN_MODE_L2 {
			w.neighbour("out", "out0", "192.0.2.1"+n, w.mac("hv", "up0"))
			w.neighbour("hv", "up0", "192.0.2.1", w.mac("out", "out0"))
		}
	}
	if mode != netlink.IPVLAN_MODE_L2 {
		w.addr("hv", "up0", "192.0.2.9/24") // the master routes
	}
	w.warm("out", "192.0.2.11")
	w.warm("c1", "192.0.2.12", "192.0.2.1")
}

// childPings pings from child to child, from outside to a child and from a child to the
// outside. mid is what is on the way from the first child to the second.
func childPings(prefix, mid, back string) []traffic {
	in := "[out] transmit out0 | link out0 -> up0 …[c1] deliver"
	out := "[c1] transmit " + prefix + "1 | stacked " + prefix + "1 -> up0 [hv] transmit up0 | link up0 -> out0 [out] deliver"
	return []traffic{
		{from: "c1", to: "192.0.2.12", want: want{
			request: "[c1] transmit " + prefix + "1 | " + mid + "[c2] deliver",
			reply:   "[c2] transmit " + prefix + "2 | " + back + "[c1] deliver",
		}},
		{from: "out", to: "192.0.2.11", want: want{request: in, reply: out}},
		{from: "c1", to: "192.0.2.1", want: want{request: out, reply: in}},
	}
}

// vlans stacks VLAN devices on the ends of a bridge; each tag is a protocol and a number.
func (w *world) vlans(tags ...netlink.VlanProtocol) {
	w.bridged()
	for _, x := range []string{"a", "b"} {
		under := "eth0"
		for i, proto := range tags {
			name := "tag" + string(rune('1'+i))
			w.link(x, &netlink.Vlan{LinkAttrs: w.on(x, under, name), VlanId: 100 - i, VlanProtocol: proto})
			under = name
		}
		w.addr(x, under, map[string]string{"a": "198.18.7.1/24", "b": "198.18.7.2/24"}[x])
	}
	w.warm("a", "198.18.7.2")
}

// tagged is what follows on the way of vlans, whose devices receive without a hook.
const tagged = "link eth0 -> v{1} [hv] bridge br0 | queue v{2} | link v{2} -> eth0 [{2}] …deliver"

// vepaPings are childPings by way of the switch outside.
func vepaPings() []traffic {
	in := "[out] transmit br0 | bridge br0 | queue out0 | link out0 -> up0 …[c1] deliver"
	out := "[c1] transmit mv1 | stacked mv1 -> up0 [hv] transmit up0 | link up0 -> out0 [out] …deliver"
	return []traffic{
		{from: "c1", to: "192.0.2.12", want: want{
			request: "[c1] transmit mv1 | stacked mv1 -> up0 [hv] transmit up0 | link up0 -> out0 [out] …queue out0 | link out0 -> up0 …[c2] deliver",
			reply:   "[c2] transmit mv2 | stacked mv2 -> up0 [hv] transmit up0 | link up0 -> out0 [out] …queue out0 | link out0 -> up0 …[c1] deliver",
		}},
		{from: "out", to: "192.0.2.11", want: want{request: in, reply: out}},
		{from: "c1", to: "192.0.2.1", want: want{request: out, reply: in}},
	}
}

// stackedRoads are devices on top of others.
func stackedRoads() []road {
	shaped := want{
		request: "[a] transmit eth0 | link eth0 -> va [r] …queue ifbx…forward | queue vb | link vb -> eth0 [b] deliver",
		reply:   "[b] transmit eth0 | link eth0 -> vb [r] forward | queue va | link va -> eth0 [a] deliver",
	}
	return []road{
		{
			name: "macvlan-bridge", what: "containers on macvlan devices of the uplink: child to child, outside to child, child to outside",
			needs: []string{"macvlan"},
			setup: func(w *world) {
				w.macvlans(netlink.MACVLAN_MODE_BRIDGE, "c1", "c2")
				w.warm("c1", "192.0.2.12", "192.0.2.1")
			},
			pings: childPings("mv", "stacked mv1 -> up0 …", "stacked mv2 -> up0 …"),
		},
		{
			name: "macvlan-private", what: "a container on a private macvlan device", needs: []string{"macvlan"},
			setup: func(w *world) { w.macvlans(netlink.MACVLAN_MODE_PRIVATE, "c1"); w.warm("c1", "192.0.2.1") },
			pings: childPings("mv", "", "")[1:],
		},
		{
			name: "macvlan-vepa", what: "containers on macvlan devices in VEPA mode, whose frames the next switch sends back",
			needs: []string{"macvlan"},
			setup: func(w *world) {
				w.ns("hv", "out", "c1", "c2")
				w.veth("hv", "up0", "out", "out0")
				w.bridge("out", "br0", "out0")
				w.must(w.at("out").nl.LinkSetHairpin(w.dev("out", "out0"), true), "hairpin")
				w.addr("out", "br0", "192.0.2.1/24")
				for i, c := range []string{"c1", "c2"} {
					n := string(rune('1' + i))
					w.link("hv", &netlink.Macvlan{LinkAttrs: w.on("hv", "up0", "mv"+n), Mode: netlink.MACVLAN_MODE_VEPA})
					w.move("hv", "mv"+n, c)
					w.addr(c, "mv"+n, "192.0.2.1"+n+"/24")
				}
				w.warm("out", "192.0.2.11")
				w.warm("c1", "192.0.2.12", "192.0.2.1")
			},
			pings: vepaPings(),
		},
		{
			name: "macvlan-passthru", what: "a container that has the whole uplink, by macvlan's passthru mode", needs: []string{"macvlan"},
			setup: func(w *world) { w.macvlans(netlink.MACVLAN_MODE_PASSTHRU, "c1"); w.warm("c1", "192.0.2.1") },
			pings: childPings("mv", "", "")[1:],
		},
		{
			name: "ipvlan-l2", what: "containers on ipvlan devices, L2", needs: []string{"ipvlan"},
			setup: func(w *world) { w.ipvlans(netlink.IPVLAN_MODE_L2) },
			pings: childPings("iv", "…", "…"),
		},
		{
			name: "ipvlan-l3", what: "containers on ipvlan devices, L3", needs: []string{"ipvlan"},
			setup: func(w *world) { w.ipvlans(netlink.IPVLAN_MODE_L3) },
			pings: childPings("iv", "…", "…"),
		},
		{
			name: "ipvlan-l3s", what: "containers on ipvlan devices, L3S", needs: []string{"ipvlan"},
			setup: func(w *world) { w.ipvlans(netlink.IPVLAN_MODE_L3S) },
			pings: childPings("iv", "…", "…"),
		},
		{
			name: "vlan", what: "a VLAN across a bridge", needs: []string{"8021q"},
			setup: func(w *world) { w.vlans(netlink.VLAN_PROTOCOL_8021Q) },
			pings: []traffic{{from: "a", to: "198.18.7.2", want: way("[{1}] transmit tag1 | stacked tag1 -> eth0 | transmit eth0 | " + tagged)}},
		},
		{
			name: "qinq", what: "a VLAN in a service VLAN (802.1ad) across a bridge", needs: []string{"8021q"},
			setup: func(w *world) { w.vlans(netlink.VLAN_PROTOCOL_8021AD, netlink.VLAN_PROTOCOL_8021Q) },
			pings: []traffic{{from: "a", to: "198.18.7.2", want: way(
				"[{1}] transmit tag2 | stacked tag2 -> tag1 | transmit tag1 | stacked tag1 -> eth0 | transmit eth0 | " + tagged)}},
		},
		{
			name: "bond", what: "a bond of two devices", needs: []string{"bonding"},
			setup: func(w *world) {
				w.aggregated(func(string) netlink.Link {
					b := netlink.NewLinkBond(named("bond0"))
					b.Mode, b.Miimon = netlink.BOND_MODE_ACTIVE_BACKUP, 100
					return b
				})
			},
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way("[{1}] transmit bond0 | stacked bond0 -> s…link s…[{2}] …deliver")}},
		},
		{
			name: "team", what: "a team of two devices", needs: []string{"team", "team_mode_roundrobin"},
			setup: func(w *world) {
				w.aggregated(func(string) netlink.Link { return &netlink.GenericLink{LinkAttrs: named("bond0"), LinkType: "team"} })
			},
			pings: []traffic{{from: "a", to: "192.0.2.2", want: way("[{1}] transmit bond0 | stacked bond0 -> s…link s…[{2}] …deliver")}},
		},
		{
			name: "vrf", what: "a router whose devices are in a VRF", needs: []string{"vrf"},
			setup: func(w *world) {
				w.routed()
				w.link("r", &netlink.Vrf{LinkAttrs: named("vrf1"), Table: 10})
				w.enslave("r", "vrf1", "va", "vb")
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: way(routedWay)}},
		},
		{
			name: "ifb", what: "a router that shapes what comes in, by an ifb", needs: []string{"ifb"},
			setup: func(w *world) {
				w.routed()
				w.link("r", &netlink.Ifb{LinkAttrs: named("ifbx")})
				w.mirred("r", "va", ingress, netlink.TCA_EGRESS_REDIR, "ifbx")
				w.throttle("r", "ifbx", 1_000_000/8, 2000, 20000)
				w.warm("a", "198.18.2.2")
			},
			pings: []traffic{{from: "a", to: "198.18.2.2", want: shaped}, {from: "a", to: "198.18.2.2", send: sized(1400), want: shaped}},
		},
	}
}

// aggregated joins a and b by two pairs of devices that are one at each end.
func (w *world) aggregated(master func(role string) netlink.Link) {
	w.ns("a", "b")
	for i := range 2 {
		n := string(rune('0' + i))
		w.must(w.at("a").nl.LinkAdd(&netlink.Veth{
			LinkAttrs: named("s" + n), PeerName: "s" + n, PeerNamespace: netlink.NsFd(w.at("b").FD()),
		}), "veth")
	}
	for _, x := range []string{"a", "b"} {
		l := master(x)
		w.must(w.at(x).nl.LinkAdd(l), "adding the", l.Type())
		if l.Type() == "team" {
			w.teamMode(x, "bond0", "roundrobin")
		}
		w.enslave(x, "bond0", "s0", "s1")
		w.up(x, "s0", "s1", "bond0")
	}
	w.addr("a", "bond0", "192.0.2.1/24")
	w.addr("b", "bond0", "192.0.2.2/24")
	w.warm("a", "192.0.2.2")
}
