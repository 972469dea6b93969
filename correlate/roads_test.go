// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/event"
)

// More devices of the simulated host, of the kinds that real hosts have.
var (
	tap0   = dev{ns: hypervisor, index: 20, name: "tap0", flags: event.BridgePort, typ: "tun"}
	up0    = dev{ns: hypervisor, index: 21, name: "up0"}
	up1    = dev{ns: hypervisor, index: 22, name: "up1"}
	mv1    = dev{ns: guest, index: 23, name: "mv1", typ: "macvlan", lower: up0.place()}
	mv2    = dev{ns: tenant, index: 24, name: "mv2", typ: "macvlan", lower: up0.place()}
	mvtap  = dev{ns: hypervisor, index: 25, name: "macvtap0", typ: "macvtap", lower: up0.place()}
	vxA    = dev{ns: guest, index: 26, name: "vx0", typ: "vxlan"}
	vxB    = dev{ns: tenant, index: 26, name: "vx0", typ: "vxlan"}
	wgA    = dev{ns: guest, index: 27, name: "wg0", typ: "wireguard"}
	wgB    = dev{ns: outside, index: 27, name: "wg0", typ: "wireguard"}
	ifb    = dev{ns: hypervisor, index: 28, name: "ifbx", typ: "ifb"}
	bond0  = dev{ns: hypervisor, index: 29, name: "bond0", typ: "bond"}
	vethA  = dev{ns: guest, index: 30, name: "eth0", typ: "veth"}
	va     = dev{ns: hypervisor, index: 31, name: "va", typ: "veth"}
	vb     = dev{ns: hypervisor, index: 32, name: "vb", typ: "veth"}
	vethB  = dev{ns: outside, index: 33, name: "eth0", typ: "veth"}
	mirror = dev{ns: hypervisor, index: 34, name: "mon0", typ: "dummy"}

	roadDevs = []dev{tap0, up0, up1, mv1, mv2, mvtap, vxA, vxB, wgA, wgB, ifb, bond0, vethA, va, vb, vethB, mirror}
)

// roads are set-ups that real hosts have.
var roads = []scenario{
	{"tap-guest-pings", func(s *sim) {
		p := s.request(1)
		p.at(tap0, event.NetifReceiveSKB)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.cross(ens3, outside0)
		r := p.reply()
		r.cross(outside0, ens3)
		r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		r.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.at(ovsBR, event.NetDevXmit)
	}},
	{"tap-guest-is-pinged", func(s *sim) {
		p := s.request(2)
		p.cross(brovsnsNS, brovsnsBR)
		p.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(tap0, event.NetifReceiveSKB)
		r.cross(brovsnsBR, brovsnsNS)
		r.deliver(brovsnsNS)
	}},
	{"macvtap-guest-pings", func(s *sim) {
		p := s.request(3)
		p.at(mvtap, event.NetDevQueue, event.NetDevStartXmit)
		p.at(up0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(mvtap, event.NetDevXmit)
		r := p.reply()
		r.at(up0, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	}},
	{"macvtap-guest-is-pinged", func(s *sim) {
		p := s.request(4)
		p.at(up0, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r := p.reply()
		r.at(mvtap, event.NetDevQueue, event.NetDevStartXmit)
		r.at(up0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.at(mvtap, event.NetDevXmit)
	}},
	{"macvlan-child-to-child", func(s *sim) {
		p := s.request(5)
		p.at(mv1, event.NetDevQueue, event.NetDevStartXmit)
		p.at(mv2, event.NetifRx)
		p.at(mv1, event.NetDevXmit)
		p.at(mv2, event.NetifReceiveSKB)
		r := p.reply()
		r.at(mv2, event.NetDevQueue, event.NetDevStartXmit)
		r.at(mv1, event.NetifRx)
		r.at(mv2, event.NetDevXmit)
		r.at(mv1, event.NetifReceiveSKB)
		r.deliver(mv1)
	}},
	{"macvlan-outside-to-child", func(s *sim) {
		p := s.request(6)
		p.cross(outside0, up0)
		r := p.reply()
		r.at(mv1, event.NetDevQueue, event.NetDevStartXmit)
		r.cross(up0, outside0)
		r.at(mv1, event.NetDevXmit)
		r.deliver(outside0)
	}},
	{"macvlan-child-to-outside", func(s *sim) {
		p := s.request(7)
		p.at(mv1, event.NetDevQueue, event.NetDevStartXmit)
		p.cross(up0, outside0)
		p.at(mv1, event.NetDevXmit)
		r := p.reply()
		r.cross(outside0, up0)
		r.deliver(mv1)
	}},
	{"overlay-in-another-namespace", func(s *sim) { // as Docker's Swarm has it
		p := s.request(8)
		overlay := func(p *packet, from, under, over, to dev) {
			p.at(from, event.NetDevQueue, event.NetDevStartXmit)
			p.outer = &event.Tunnel{Src: event.AddressFrom(natAddr), Dst: event.AddressFrom(targetAddr), ID: 7, Type: event.VXLAN}
			p.cross(under, over)
			p.outer = nil
			p.at(from, event.NetDevXmit)
			p.received = false
			p.at(to, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		}
		overlay(p, vxA, up0, outside0, vxB)
		r := p.reply()
		overlay(r, vxB, outside0, up0, vxA)
		r.deliver(vxA)
	}},
	{"router-with-two-uplinks", func(s *sim) {
		p := s.request(9)
		p.at(up0, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.at(up1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}},
	{"client-with-two-uplinks", func(s *sim) {
		p := s.request(10)
		p.at(up0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(up1, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.deliver(up1)
	}},
	{"unknown-tunnel", func(s *sim) { tunnelled(s, 11, vxA, vxB) }},
	{"encrypted", func(s *sim) { tunnelled(s, 12, wgA, wgB) }},
	{"packet-socket", func(s *sim) {
		p := s.request(13)
		p.socket = true
		p.cross(vethA, va)
		p.socket = false
		r := p.reply()
		r.cross(va, vethA)
		c := r.copy()
		r.event(vethA, event.KfreeSKB, 3)
		c.socket = true
		c.at(vethA, event.SKBCopyDatagramIovec)
	}},
	{"packet-socket-with-a-ring", func(s *sim) { // which the program reads without a system call
		p := s.request(14)
		p.socket = true
		p.cross(vethA, va)
		p.socket = false
		r := p.reply()
		r.cross(va, vethA)
		r.event(vethA, event.KfreeSKB, 3)
	}},
	{"switch-in-user-space", func(s *sim) {
		p := s.request(15)
		relay := func(p *packet, from, in, out, to dev) {
			p.cross(from, in)
			c := p.copy()
			p.event(in, event.KfreeSKB, 3)
			c.socket = true
			c.at(in, event.SKBCopyDatagramIovec)
			*p = *c
			p.skb, p.received = c.skb+0x30, false
			p.at(out, event.NetDevQueue, event.NetDevStartXmit)
			p.socket, p.peer = false, &out
			p.at(to, event.NetifRx)
			p.at(out, event.NetDevXmit)
			p.at(to, event.NetifReceiveSKB)
			p.peer = nil
		}
		relay(p, vethA, va, vb, vethB)
		r := p.reply()
		relay(r, vethB, vb, va, vethA)
		r.deliver(vethA)
	}},
	{"shaped-on-ingress", func(s *sim) {
		p := s.request(16)
		p.ttl = 64
		p.cross(vethA, va)
		p.at(ifb, event.NetDevQueue, event.NetDevStartXmit)
		p.peer = &vethA
		p.at(va, event.NetifReceiveSKB)
		p.peer = nil
		p.at(ifb, event.NetDevXmit)
		p.ttl = 63
		p.cross(vb, vethB)
		r := p.reply()
		r.ttl = 64
		r.cross(vethB, vb)
		r.ttl = 63
		r.cross(va, vethA)
		r.deliver(vethA)
	}},
	{"fast-path", func(s *sim) { // bpf_redirect_neigh out, bpf_redirect_peer in
		p := s.request(17)
		p.ttl = 64
		p.cross(vethA, va)
		p.act(va, event.Action{Deed: event.Redirect, Verdict: 1, Tenant: 7, To: ens3.index})
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.act(ens3, event.Action{Deed: event.Firewall, Verdict: event.VerdictPass, Tenant: 7, Rule: 3, Place: event.AtTC})
		r.deliver(vethA)
	}},
	{"bond", func(s *sim) {
		p := s.request(18)
		p.ttl = 64
		p.cross(vethA, va)
		p.ttl = 63
		p.at(bond0, event.NetDevQueue, event.NetDevStartXmit)
		p.at(up1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(bond0, event.NetDevXmit)
		r := p.reply()
		r.ttl = 60
		r.at(up1, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.ttl = 59
		r.cross(va, vethA)
		r.deliver(vethA)
	}},
	{"time-to-live-ran-out", func(s *sim) {
		p := s.request(19)
		p.cross(vethA, va)
		e := p.failure(11, 0)
		e.cross(va, vethA)
		p.event(va, event.KfreeSKB, 2)
		e.at(vethA, event.SKBCopyDatagramIovec)
	}},
	{"unreachable-beyond", func(s *sim) {
		p := s.request(20)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		e := p.failure(3, 1)
		e.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB, event.SKBCopyDatagramIovec)
	}},
	{"unreachable-where-made", func(s *sim) { // the sender is told before the packet is freed
		p := s.request(28)
		e := p.failure(3, 1)
		e.at(dev{ns: guest}, event.SKBCopyDatagramIovec)
		p.event(dev{ns: guest}, event.KfreeSKB, 2)
	}},
	{"later-fragment-died", func(s *sim) {
		p := s.request(21)
		p.length, p.fragment = 1472, event.FirstFragment
		p.cross(vethA, va)
		p.cross(vb, vethB)
		later := p.copy()
		later.fragment = event.LaterFragment
		later.event(vb, event.KfreeSKB, 2)
	}},
	{"mirrored-and-dropped", func(s *sim) {
		p := s.request(22)
		p.ttl = 64
		p.cross(vethA, va)
		c := p.copy()
		c.at(mirror, event.NetDevQueue)
		c.event(mirror, event.KfreeSKB, 2)
		p.ttl = 63
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}},
	{"switch-with-xdp-sockets", func(s *sim) { // given the packet by the driver, before any hook
		p := s.request(26)
		p.at(vethA, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.skb += 0x40
		p.socket = true
		p.at(vb, event.NetDevStartXmit)
		p.socket, p.peer = false, &vb
		p.at(vethB, event.NetifRx)
		p.at(vb, event.NetDevXmit)
		p.at(vethB, event.NetifReceiveSKB)
		p.peer = nil
		r := p.reply()
		r.at(vethB, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.skb += 0x40
		r.socket = true
		r.at(va, event.NetDevStartXmit)
		r.socket, r.peer = false, &va
		r.at(vethA, event.NetifRx)
		r.at(va, event.NetDevXmit)
		r.at(vethA, event.NetifReceiveSKB)
		r.peer = nil
		r.deliver(vethA)
	}},
	{"unknown-kind-of-device", func(s *sim) {
		l2tp := dev{ns: guest, index: 40, name: "l2tpeth0"}
		far := dev{ns: outside, index: 40, name: "l2tpeth0"}
		tunnelled(s, 27, l2tp, far)
	}},
	{"looped-back", loopedBack},
	{"reused-by-xdp", reusedByXDP},
	{"many-replies", func(s *sim) {
		p := s.request(23)
		p.dst = netip.MustParseAddr("192.168.0.255")
		p.cross(vethA, va)
		for i := range 3 {
			r := p.reply()
			r.skb += uint64(i) << 12
			r.src = netip.AddrFrom4([4]byte{192, 168, 0, byte(1 + i)})
			r.cross(va, vethA)
			r.deliver(vethA)
		}
	}},
}

// loopedBack is a broadcast ping: its sender's namespace gets a copy, and of two replies that
// come in at a time, one is handed over in the buffer in which the other came.
func loopedBack(s *sim) {
	p := s.request(24)
	p.dst = netip.MustParseAddr("192.168.0.255")
	c := p.copy()
	c.at(vethA, event.NetifRx)
	p.cross(vethA, va)
	c.at(vethA, event.NetifReceiveSKB)
	c.event(vethA, event.KfreeSKB, 2)
	var replies []*packet
	for i := range 2 {
		r := p.reply()
		r.skb += uint64(i) << 12
		r.src = netip.AddrFrom4([4]byte{192, 168, 0, byte(1 + i)})
		r.cross(va, vethA)
		r.event(vethA, event.KfreeSKB, 3)
		replies = append(replies, r)
	}
	heard := replies[0].copy()
	heard.at(vethA, event.SKBCopyDatagramIovec)
	replies[1].skb = replies[0].skb
	replies[1].at(vethA, event.SKBCopyDatagramIovec)
}

// reusedByXDP is a ping over a pair of devices whose driver copies the packet, so that the
// buffer of the reply is free when a socket needs one.
func reusedByXDP(s *sim) {
	p := s.request(25)
	p.cross(vethA, va)
	r := p.reply()
	r.at(va, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	sent := r.skb
	r.skb += 0x40
	r.peer = &va
	r.at(vethA, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	r.event(vethA, event.KfreeSKB, 3)
	r.skb = sent
	r.at(vethA, event.SKBCopyDatagramIovec)
}

// tunnelled is a ping through a tunnel whose packets are not seen.
func tunnelled(s *sim, seq uint16, a, b dev) {
	oneWay := func(p *packet, a, b dev) {
		p.at(a, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(b, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	}
	p := s.request(seq)
	oneWay(p, a, b)
	r := p.reply()
	oneWay(r, b, a)
	r.deliver(a)
}

// failure makes the ICMP error of a router about the packet.
func (p *packet) failure(typ, code uint8) *packet {
	e := p.reply()
	e.typ, e.src, e.dst = event.RequestError, p.src, p.dst
	e.outer = &event.Tunnel{
		Src: event.AddressFrom(netip.MustParseAddr("192.0.2.99")), Dst: event.AddressFrom(p.src),
		Type: event.ICMPError, ID: uint32(typ)<<8 | uint32(code),
	}
	return e
}

// act records that a program on d did something to the packet.
func (p *packet) act(d dev, a event.Action) {
	p.at(d, event.Acted)
	p.sim.events[len(p.sim.events)-1].Action = a
}
