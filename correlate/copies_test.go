// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/event"
)

// copies are set-ups in which there are several packets with one content, all of them of one
// ping.
var copies = []scenario{
	{"duplicated-where-made", func(s *sim) { // by netem
		p := s.request(1)
		p.at(vethA, event.NetDevQueue)
		c := p.copy()
		c.at(vethA, event.NetDevStartXmit)
		c.arrive(vethA, va)
		p.at(vethA, event.NetDevStartXmit)
		p.arrive(vethA, va)
		r := c.reply()
		r.skb += 0x5000
		r.cross(va, vethA)
		d := p.reply()
		d.cross(va, vethA)
		r.deliver(vethA)
		d.deliver(vethA)
	}},
	{"duplicated-on-its-way", func(s *sim) {
		p := s.request(2)
		p.ttl = 64
		p.cross(vethA, va)
		p.ttl = 63
		p.at(vb, event.NetDevQueue)
		c := p.copy()
		c.at(vb, event.NetDevStartXmit)
		c.arrive(vb, vethB)
		p.at(vb, event.NetDevStartXmit)
		p.arrive(vb, vethB)
		for i, q := range []*packet{c, p} {
			r := q.reply()
			r.skb += uint64(i) << 14
			r.ttl = 64
			r.cross(vethB, vb)
			r.ttl = 63
			r.cross(va, vethA)
			r.deliver(vethA)
		}
	}},
	{"duplicate-replies-for-a-guest", func(s *sim) {
		p := s.request(3)
		p.at(tap0, event.NetifReceiveSKB)
		p.at(ovsBR, event.NetifReceiveSKB)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		for i := range 3 {
			r := p.reply()
			r.skb += uint64(i) << 12
			r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
			r.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
			r.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
			r.at(ovsBR, event.NetDevXmit)
		}
	}},
	{"duplicate-requests-from-a-wire", func(s *sim) {
		p := s.request(4)
		for i := range 2 {
			p.received = false
			p.skb += uint64(i) << 12
			p.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
			r := p.reply()
			r.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
			s.now += 1000
		}
	}},
	{"broadcast-to-guests", func(s *sim) { // made where the bridge is
		p := s.request(5)
		p.dst = netip.MustParseAddr("192.168.0.255")
		p.at(ovsBR, event.NetDevQueue, event.NetDevStartXmit)
		c := p.copy()
		c.cross(brovsnsBR, brovsnsNS)
		p.cross(tenantBR, tenantNS)
		p.at(ovsBR, event.NetDevXmit)
		r := c.reply()
		r.src = guestAddr
		r.cross(brovsnsNS, brovsnsBR)
		r.at(ovsBR, event.NetifReceiveSKB)
		q := p.reply()
		q.skb += 0x2000
		q.src = netip.MustParseAddr("192.168.0.20")
		q.cross(tenantNS, tenantBR)
		q.at(ovsBR, event.NetifReceiveSKB)
		r.deliver(ovsBR)
		q.deliver(ovsBR)
	}},
	{"broadcast-to-virtual-machines", func(s *sim) { // each answers on a device of its own
		p := s.request(6)
		p.dst = netip.MustParseAddr("192.168.0.255")
		p.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		c := p.copy()
		c.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(tap1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		for i, tap := range []dev{tap0, tap1} {
			r := p.reply()
			r.skb += uint64(i) << 12
			r.src = netip.AddrFrom4([4]byte{192, 168, 0, byte(1 + i)})
			r.at(tap, event.NetifReceiveSKB)
			r.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		}
	}},
	{"mirrored-where-made", func(s *sim) { // by traffic control, before it is queued
		p := s.request(7)
		p.at(vethA, event.NetDevQueue)
		c := p.copy()
		c.at(dev{ns: guest, index: 41, name: "mon0", typ: "dummy"}, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(vethA, event.NetDevStartXmit)
		p.arrive(vethA, va)
		r := p.reply()
		r.cross(va, vethA)
		r.deliver(vethA)
	}},
}

// arrive takes a packet that one end of a pair was given to the other.
func (p *packet) arrive(from, to dev) {
	p.received, p.peer = false, &from
	p.at(to, event.NetifRx)
	p.at(from, event.NetDevXmit)
	p.at(to, event.NetifReceiveSKB)
	p.peer = nil
}
