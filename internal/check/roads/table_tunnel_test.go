// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ends are those of a tunnel between a and b of routed.
func ends(x string) (local, remote string) {
	if x == "a" {
		return "198.18.1.2", "198.18.2.2"
	}
	return "198.18.2.2", "198.18.1.2"
}

func ends6(x string) (local, remote string) {
	if x == "a" {
		return "2001:db8:1::2", "2001:db8:2::2"
	}
	return "2001:db8:2::2", "2001:db8:1::2"
}

// tunnelled joins a and b of routed by a tunnel of their own and gives it the addresses
// 198.18.8.1 and .2 and 2001:db8:8::1 and ::2. device returns the device tun0 of one end.
func (w *world) tunnelled(device func(x, local, remote string) netlink.Link) {
	w.routed()
	for _, x := range []string{"a", "b"} {
		local, remote := ends(x)
		w.tunnel(x, device(x, local, remote))
	}
	w.warm("a", "198.18.8.2")
}

// tunnel adds one end.
func (w *world) tunnel(x string, l netlink.Link) {
	w.link(x, l)
	n := map[string]string{"a": "1", "b": "2"}[x]
	w.addr(x, l.Attrs().Name, "198.18.8."+n+"/24", "2001:db8:8::"+n+"/64")
}

// inside pings through the tunnel, which has a type and a number.
func inside(tunnel string) []traffic {
	w := way(tunnelWay)
	w.tunnel = tunnel
	return []traffic{
		{from: "a", to: "198.18.8.2", src: "198.18.8.1", want: w},
		{from: "a", to: "2001:db8:8::2", src: "2001:db8:8::1", want: w},
	}
}

func vxlan(local, remote string, port int) *netlink.Vxlan {
	return &netlink.Vxlan{LinkAttrs: named("tun0"), VxlanId: 7, SrcAddr: ip(local), Group: ip(remote), Port: port}
}

func greKey(key uint32) (flags uint16, be uint32) { return greKeyFlag, key }

// rawLink is a kind of device that the netlink library does not make.
func (w *world) rawLink(role, name, kind string, data func(*nl.RtAttr)) {
	w.must(w.at(role).Do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
		data(info.AddRtAttr(nl.IFLA_INFO_DATA, nil))
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	}), "adding the", kind, name)
	w.up(role, name)
}

// tunnelRoads are tunnels that carry Ethernet frames.
func tunnelRoads() []road {
	return []road{
		{
			name: "vxlan", what: "VXLAN across a router", needs: []string{"vxlan"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { return vxlan(l, r, 4789) })
				w.warm("a", "2001:db8:8::2")
			},
			pings: inside("vxlan 7"),
		},
		{
			name: "vxlan-port", what: "VXLAN on a port of its own, then a route of the underlay that drops", needs: []string{"vxlan"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { return vxlan(l, r, 6784) })
			},
			pings: []traffic{
				{from: "a", to: "198.18.8.2", want: way(tunnelWay).and(func(w *want) { w.tunnel = "vxlan 7" })},
				{
					from: "a", to: "198.18.8.2", want: want{outcome: "dropped", drop: "[r] NOT_SPECIFIED", tunnel: "vxlan 7"},
					send: after(func(w *world) {
						w.routeAdd("r", &netlink.Route{Dst: ipNet(prefixOf("198.18.2.2")), Type: unix.RTN_BLACKHOLE})
					}, iputils),
				},
			},
		},
		{
			name: "vxlan-ipv6", what: "VXLAN over IPv6", needs: []string{"vxlan"},
			setup: func(w *world) {
				w.routed()
				for _, x := range []string{"a", "b"} {
					l, r := ends6(x)
					w.tunnel(x, vxlan(l, r, 4789))
				}
				w.warm("a", "198.18.8.2", "2001:db8:8::2")
			},
			pings: inside("vxlan 7"),
		},
		{
			name: "vxlan-gbp", what: "VXLAN with a group policy", needs: []string{"vxlan"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { v := vxlan(l, r, 4789); v.GBP = true; return v })
				w.warm("a", "2001:db8:8::2")
			},
			pings: inside("vxlan 7"),
		},
		{
			name: "vxlan-gpe", what: "VXLAN-GPE, which carries IP", needs: []string{"vxlan"},
			setup: func(w *world) { w.gpe(); w.warm("a", "198.18.8.2") },
			pings: inside("vxlan-gpe 7")[:1],
		},
		{
			name: "swarm", what: "VXLAN whose device is in another namespace than what it is sent over, as in Docker Swarm",
			needs: []string{"vxlan"},
			setup: func(w *world) {
				w.ns("hv1", "hv2", "c1", "c2")
				w.veth("hv1", "e0", "hv2", "e0")
				for i, n := range []string{"1", "2"} {
					other := []string{"2", "1"}[i]
					w.addr("hv"+n, "e0", "198.51.100."+n+"/24")
					w.link("hv"+n, vxlan("198.51.100."+n, "198.51.100."+other, 4789))
					w.move("hv"+n, "tun0", "c"+n)
					w.addr("c"+n, "tun0", "192.0.2."+n+"/24")
				}
				w.warm("c1", "192.0.2.2")
			},
			pings: []traffic{{from: "c1", to: "192.0.2.2", n: 10, want: want{
				tunnel:  "vxlan 7",
				request: "[c1] transmit tun0 | encapsulate tun0 -> e0 [hv1] transmit e0 | link e0 -> e0 [hv2] decapsulate e0 -> tun0 [c2] deliver",
				reply:   "[c2] transmit tun0 | encapsulate tun0 -> e0 [hv2] transmit e0 | link e0 -> e0 [hv1] decapsulate e0 -> tun0 [c1] deliver",
			}}},
		},
		{
			name: "geneve", what: "Geneve across a router", needs: []string{"geneve"},
			setup: func(w *world) {
				w.tunnelled(func(_, _, r string) netlink.Link {
					return &netlink.Geneve{LinkAttrs: named("tun0"), ID: 7, Remote: ip(r)}
				})
				w.warm("a", "2001:db8:8::2")
			},
			pings: inside("geneve 7"),
		},
		{
			name: "gretap", what: "Ethernet in GRE with a key", needs: []string{"ip_gre"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link {
					f, k := greKey(7)
					return &netlink.Gretap{LinkAttrs: named("tun0"), IKey: k, OKey: k, IFlags: f, OFlags: f, Local: ip(l), Remote: ip(r), PMtuDisc: 1}
				})
				w.warm("a", "2001:db8:8::2")
			},
			pings: inside("gretap 7"),
		},
		{
			name: "erspan", what: "ERSPAN, version 1", needs: []string{"ip_gre"},
			setup: func(w *world) {
				w.routed()
				for _, x := range []string{"a", "b"} {
					l, r := ends(x)
					w.erspan(x, l, r)
				}
				w.warm("a", "198.18.8.2")
			},
			pings: inside("erspan 7")[:1],
		},
		{
			name: "vxlan-in-vxlan", what: "VXLAN in VXLAN", needs: []string{"vxlan"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { return vxlan(l, r, 4789) })
				for _, x := range []string{"a", "b"} {
					n := map[string]string{"a": "1", "b": "2"}[x]
					other := map[string]string{"a": "2", "b": "1"}[x]
					w.link(x, &netlink.Vxlan{
						LinkAttrs: named("tun1"), VxlanId: 9, Port: 4790,
						SrcAddr: ip("198.18.8." + n), Group: ip("198.18.8." + other),
					})
					w.addr(x, "tun1", "198.18.9."+n+"/24")
				}
				w.warm("a", "198.18.9.2")
			},
			pings: []traffic{{from: "a", to: "198.18.9.2", want: way(nestedWay)}},
		},
	}
}

// erspan adds the device tun0 with the session 7.
func (w *world) erspan(x, local, remote string) {
	w.rawLink(x, "tun0", "erspan", func(d *nl.RtAttr) {
		d.AddRtAttr(nl.IFLA_GRE_IFLAGS, htonsBytes(greKeyFlag|greSeqFlag))
		d.AddRtAttr(nl.IFLA_GRE_OFLAGS, htonsBytes(greKeyFlag|greSeqFlag))
		d.AddRtAttr(nl.IFLA_GRE_IKEY, []byte{0, 0, 0, 7})
		d.AddRtAttr(nl.IFLA_GRE_OKEY, []byte{0, 0, 0, 7})
		d.AddRtAttr(nl.IFLA_GRE_LOCAL, net.ParseIP(local).To4())
		d.AddRtAttr(nl.IFLA_GRE_REMOTE, net.ParseIP(remote).To4())
		d.AddRtAttr(nl.IFLA_GRE_PMTUDISC, []byte{0})
		d.AddRtAttr(iflaGREERSPANVer, []byte{1})
		d.AddRtAttr(iflaGREERSPANIndex, nl.Uint32Attr(1))
	})
	n := map[string]string{"a": "1", "b": "2"}[x]
	w.addr(x, "tun0", "198.18.8."+n+"/24", "2001:db8:8::"+n+"/64")
}

// Attributes that the netlink library does not name (include/uapi/linux/if_tunnel.h,
// if_link.h, lwtunnel.h).
const (
	greKeyFlag         = 0x2000
	greSeqFlag         = 0x1000
	iflaGREERSPANIndex = 21
	iflaGREERSPANVer   = 22

	iflaVXLANLearning        = 7
	iflaVXLANPort            = 15
	iflaVXLANCollectMetadata = 25
	iflaVXLANGPE             = 27

	lwtunnelIP    = 2
	lwtunnelIPID  = 1
	lwtunnelIPDst = 2
)

func htonsBytes(v uint16) []byte { return []byte{byte(v >> 8), byte(v)} }

// gpe joins a and b of routed by VXLAN-GPE, whose devices learn of each packet from the
// route where it goes.
func (w *world) gpe() {
	w.routed()
	for _, x := range []string{"a", "b"} {
		w.rawLink(x, "tun0", "vxlan", func(d *nl.RtAttr) {
			d.AddRtAttr(iflaVXLANPort, htonsBytes(4790))
			d.AddRtAttr(iflaVXLANLearning, []byte{0})
			d.AddRtAttr(iflaVXLANCollectMetadata, []byte{1})
			d.AddRtAttr(iflaVXLANGPE, nil)
		})
		_, remote := ends(x)
		n := map[string]string{"a": "1", "b": "2"}[x]
		other := map[string]string{"a": "2", "b": "1"}[x]
		w.addr(x, "tun0", "198.18.8."+n+"/32")
		w.routeAdd(x, &netlink.Route{
			Dst: ipNet(prefixOf("198.18.8." + other)), LinkIndex: w.index(x, "tun0"),
			Encap: ipEncap{id: 7, dst: ip(remote)},
		})
	}
}

// ipEncap is the route attribute that says which tunnel a packet goes through.
type ipEncap struct {
	id  byte
	dst net.IP
}

func (ipEncap) Type() int           { return lwtunnelIP }
func (ipEncap) Decode([]byte) error { return nil }
func (e ipEncap) Encode() ([]byte, error) {
	b := nl.NewRtAttr(lwtunnelIPID, []byte{0, 0, 0, 0, 0, 0, 0, e.id}).Serialize()
	return append(b, nl.NewRtAttr(lwtunnelIPDst, e.dst.To4()).Serialize()...), nil
}
func (e ipEncap) String() string           { return "ip" }
func (e ipEncap) Equal(netlink.Encap) bool { return false }
