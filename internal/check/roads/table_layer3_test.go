// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// after changes the road before it sends.
func after(change func(*world), send sender) sender {
	return func(w *world, s *space, to netip.Addr, id uint16, n int) (int, error) {
		if err := try(func() { change(w) }); err != nil {
			return 0, err
		}
		return send(w, s, to, id, n)
	}
}

// try returns the error of a change to a world.
func try(change func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(setupError)
			if !ours {
				panic(r)
			}
			err = e.error
		}
	}()
	change()
	return nil
}

// layer3TunnelRoads are tunnels that carry IP packets.
func layer3TunnelRoads() []road {
	simple := func(name, what, module, tunnel string, pings int, device func(local, remote string) netlink.Link) road {
		return road{
			name: name, what: what, needs: []string{module},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { return device(l, r) })
				if pings > 1 {
					w.warm("a", "2001:db8:8::2")
				}
			},
			pings: inside(tunnel)[:pings],
		}
	}
	over6 := func(name, what, module, tunnel string, device func(local, remote string) netlink.Link) road {
		return road{
			name: name, what: what, needs: []string{module},
			setup: func(w *world) {
				w.routed()
				for _, x := range []string{"a", "b"} {
					l, r := ends6(x)
					w.tunnel(x, device(l, r))
				}
				w.warm("a", "198.18.8.2", "2001:db8:8::2")
			},
			pings: inside(tunnel),
		}
	}
	return []road{
		simple("gre", "GRE with a key", "ip_gre", "gre 7", 2, func(l, r string) netlink.Link {
			f, k := greKey(7)
			return &netlink.Gretun{LinkAttrs: named("tun0"), IKey: k, OKey: k, IFlags: f, OFlags: f, Local: ip(l), Remote: ip(r), PMtuDisc: 1}
		}),
		simple("ipip", "IPv4 in IPv4", "ipip", "ipip 0", 1, func(l, r string) netlink.Link {
			return &netlink.Iptun{LinkAttrs: named("tun0"), Local: ip(l), Remote: ip(r), PMtuDisc: 1}
		}),
		{
			name: "sit", what: "IPv6 in IPv4", needs: []string{"sit"},
			setup: func(w *world) {
				w.routed()
				for _, x := range []string{"a", "b"} {
					l, r := ends(x)
					w.tunnel(x, &netlink.Sittun{LinkAttrs: named("tun0"), Local: ip(l), Remote: ip(r), PMtuDisc: 1, Proto: unix.IPPROTO_IPV6})
				}
				w.warm("a", "2001:db8:8::2")
			},
			pings: inside("sit 0")[1:],
		},
		over6("ip6tnl", "IPv4 and IPv6 in IPv6", "ip6_tunnel", "ip6tnl 0", func(l, r string) netlink.Link {
			return &netlink.Ip6tnl{LinkAttrs: named("tun0"), Local: ip(l), Remote: ip(r), Flags: ip6tnlIgnoreEncapLimit}
		}),
		over6("ip6gre", "GRE over IPv6", "ip6_gre", "gre 7", func(l, r string) netlink.Link {
			f, k := greKey(7)
			return &netlink.Gretun{LinkAttrs: named("tun0"), IKey: k, OKey: k, IFlags: f, OFlags: f, Local: ip(l), Remote: ip(r)}
		}),
		{
			name: "srv6", what: "SRv6 (H.Encaps and End.DX4, End.DT6)",
			setup: func(w *world) { w.srv6(); w.warm("a", "198.18.8.2", "2001:db8:8::2") },
			pings: []traffic{
				{from: "a", to: "198.18.8.2", src: "198.18.8.1", want: way(segmentWay)},
				{from: "a", to: "2001:db8:8::2", src: "2001:db8:8::1", want: way(segmentWay)},
			},
		},
		{
			name: "mpls", what: "MPLS: a label is pushed, swapped by a router, popped", needs: []string{"mpls_router", "mpls_iptunnel"},
			setup: func(w *world) { w.mpls(); w.warm("a", "198.18.8.2") },
			pings: []traffic{{from: "a", to: "198.18.8.2", want: way(segmentWay)}},
		},
		{
			name: "pppoe", what: "PPPoE", needs: []string{"pppoe"},
			setup: func(w *world) { w.pppoe(); w.warm("a", "198.18.8.2") },
			pings: []traffic{{from: "a", to: "198.18.8.2", want: way("[{1}] transmit ppp0 | …link {1}0 -> {2}0 [{2}] …deliver").and(func(w *want) { w.tunnel = "pppoe 7" })}},
		},
		{
			name: "gre-in-vxlan", what: "GRE in VXLAN", needs: []string{"vxlan", "ip_gre"},
			setup: func(w *world) {
				w.tunnelled(func(_, l, r string) netlink.Link { return vxlan(l, r, 4789) })
				for _, x := range []string{"a", "b"} {
					n, other := "1", "2"
					if x == "b" {
						n, other = other, n
					}
					w.link(x, &netlink.Gretun{LinkAttrs: named("tun1"), Local: ip("198.18.8." + n), Remote: ip("198.18.8." + other), PMtuDisc: 1})
					w.addr(x, "tun1", "198.18.9."+n+"/24")
				}
				w.warm("a", "198.18.9.2")
			},
			pings: []traffic{{from: "a", to: "198.18.9.2", want: way(nestedWay)}},
		},
	}
}

// segmentWay is that of a packet that a route encapsulates, without a device for it.
const segmentWay = "[{1}] transmit eth0 | link eth0 -> v{1} [r] forward | queue v{2} | link v{2} -> eth0 [{2}] …deliver"

// ip6tnlIgnoreEncapLimit is IP6_TNL_F_IGN_ENCAP_LIMIT: no destination option in the packets.
const ip6tnlIgnoreEncapLimit = 1

// srv6 has a and b of routed send to 198.18.8.0/24 and 2001:db8:8::/64 in IPv6 packets with
// a segment routing header (RFC 8754), which the other end takes off (RFC 8986).
func (w *world) srv6() {
	w.routed()
	for _, x := range []string{"a", "b"} {
		n, other := "1", "2"
		if x == "b" {
			n, other = other, n
		}
		w.sysctl(x, "ipv6/conf/all/seg6_enabled", "1")
		w.sysctl(x, "ipv6/conf/eth0/seg6_enabled", "1")
		w.forward(x)
		w.addr(x, "lo", "198.18.8."+n+"/32", "2001:db8:8::"+n+"/128")
		for _, d := range []struct{ dst, src, sid string }{
			{"198.18.8." + other, "198.18.8." + n, "2001:db8:" + other + "::d4"},
			{"2001:db8:8::" + other, "2001:db8:8::" + n, "2001:db8:" + other + "::d6"},
		} {
			w.routeAdd(x, &netlink.Route{
				Dst: ipNet(prefixOf(d.dst)), LinkIndex: w.index(x, "eth0"), Src: ip(d.src),
				Encap: &netlink.SEG6Encap{Mode: nl.SEG6_IPTUN_MODE_ENCAP, Segments: []net.IP{ip(d.sid)}},
			})
		}
		dx4 := &netlink.SEG6LocalEncap{Action: nl.SEG6_LOCAL_ACTION_END_DX4, InAddr: ip("198.18.8." + n)}
		dx4.Flags[nl.SEG6_LOCAL_NH4] = true
		w.seg6Local(x, "2001:db8:"+n+"::d4", dx4)
		dt6 := &netlink.SEG6LocalEncap{Action: nl.SEG6_LOCAL_ACTION_END_DT6, Table: unix.RT_TABLE_LOCAL}
		dt6.Flags[nl.SEG6_LOCAL_TABLE] = true
		w.seg6Local(x, "2001:db8:"+n+"::d6", dt6)
	}
	w.route("r", "2001:db8:1::d4", "2001:db8:1::2")
	w.route("r", "2001:db8:1::d6", "2001:db8:1::2")
	w.route("r", "2001:db8:2::d4", "2001:db8:2::2")
	w.route("r", "2001:db8:2::d6", "2001:db8:2::2")
}

// seg6Local has packets for a segment ID taken out of their headers.
func (w *world) seg6Local(role, sid string, e *netlink.SEG6LocalEncap) {
	e.Flags[nl.SEG6_LOCAL_ACTION] = true
	w.routeAdd(role, &netlink.Route{Dst: ipNet(prefixOf(sid)), LinkIndex: w.index(role, "eth0"), Encap: e})
}

// mpls pushes a label (RFC 3032) for 198.18.8.0/24, which r swaps and the other end pops.
func (w *world) mpls() {
	w.routed()
	for _, x := range []string{"a", "r", "b"} {
		w.sysctl(x, "mpls/platform_labels", "1000")
	}
	for _, d := range []struct{ role, device string }{{"a", "eth0"}, {"b", "eth0"}, {"r", "va"}, {"r", "vb"}} {
		w.sysctl(d.role, "mpls/conf/"+d.device+"/input", "1")
	}
	for _, x := range []struct {
		role, n, other, gateway, next, out string
		push, swap                         int
	}{
		{"a", "1", "2", "198.18.1.1", "198.18.2.2", "vb", 100, 200},
		{"b", "2", "1", "198.18.2.1", "198.18.1.2", "va", 300, 400},
	} {
		w.addr(x.role, "lo", "198.18.8."+x.n+"/32")
		r := w.gateway("198.18.8."+x.other, x.gateway)
		r.Src, r.Encap = ip("198.18.8."+x.n), &netlink.MPLSEncap{Labels: []int{x.push}}
		w.routeAdd(x.role, r)
		w.routeAdd("r", &netlink.Route{
			MPLSDst: &x.push, NewDst: &netlink.MPLSDestination{Labels: []int{x.swap}},
			Via: &netlink.Via{AddrFamily: nl.FAMILY_V4, Addr: ip(x.next)}, LinkIndex: w.index("r", x.out),
		})
		far := map[string]string{"a": "b", "b": "a"}[x.role]
		w.routeAdd(far, &netlink.Route{MPLSDst: &x.swap, LinkIndex: w.index(far, "lo")})
	}
}
