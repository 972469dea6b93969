// SPDX-License-Identifier: Apache-2.0

package correlate_test

import "github.com/dwelltrace/dwell/correlate/event"

// More devices that guests have.
var (
	tap1    = dev{ns: hypervisor, index: 42, name: "tap1", flags: event.BridgePort, typ: "tun"}
	tap2    = dev{ns: hypervisor, index: 43, name: "tap2", flags: event.BridgePort, typ: "tun"}
	mvtap2  = dev{ns: hypervisor, index: 44, name: "macvtap2", typ: "macvtap", lower: up0.place()}
	netkitA = dev{ns: guest, index: 45, name: "eth0", typ: "netkit"}

	guestDevs = []dev{tap1, tap2, mvtap2, netkitA}
)

// guests are set-ups in which guests do more than to ping.
var guests = []scenario{
	{"guest-is-a-router", func(s *sim) {
		p := s.request(1)
		p.ttl = 64
		p.at(tap0, event.NetifReceiveSKB)
		p.at(tap1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.routedByGuest(0x1000)
		p.at(tap2, event.NetifReceiveSKB)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.ttl = 60
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.at(tap2, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.routedByGuest(0x1000)
		r.at(tap1, event.NetifReceiveSKB)
		r.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}},
	{"guest-is-a-router-on-one-device", func(s *sim) { // and the buffers are reused
		p := s.request(2)
		p.ttl = 64
		p.at(tap0, event.NetifReceiveSKB)
		p.at(tap1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.routedByGuest(0)
		p.at(tap1, event.NetifReceiveSKB)
		p.at(tap2, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.ttl = 64
		r.at(tap2, event.NetifReceiveSKB)
		r.at(tap1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.routedByGuest(0)
		r.at(tap1, event.NetifReceiveSKB)
		r.at(tap0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	}},
	{"guest-is-a-router-on-macvtap", func(s *sim) {
		p := s.request(5)
		p.ttl = 64
		p.at(up0, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		p.routedByGuest(0x1000)
		p.at(mvtap2, event.NetDevQueue, event.NetDevStartXmit)
		p.at(up0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(mvtap2, event.NetDevXmit)
		r := p.reply()
		r.ttl = 60
		r.at(up0, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.routedByGuest(0x1000)
		r.at(mvtap, event.NetDevQueue, event.NetDevStartXmit)
		r.at(up0, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r.at(mvtap, event.NetDevXmit)
	}},
	{"guest-to-guest-on-macvtap", func(s *sim) {
		p := s.request(6)
		p.ttl = 64
		p.at(mvtap, event.NetDevQueue, event.NetDevStartXmit)
		p.at(up0, event.NetifRx)
		p.at(mvtap, event.NetDevXmit)
		p.at(up0, event.NetifReceiveSKB)
		r := p.reply()
		r.ttl = 64
		r.at(mvtap2, event.NetDevQueue, event.NetDevStartXmit)
		r.at(up0, event.NetifRx)
		r.at(mvtap2, event.NetDevXmit)
		r.at(up0, event.NetifReceiveSKB)
	}},
	{"back-out-of-the-port", func(s *sim) { // a bridge's port in hairpin mode
		p := s.request(3)
		p.ttl = 64
		p.cross(vethA, brovsnsBR)
		p.cross(brovsnsBR, brovsnsNS)
	}},
	{"netkit", func(s *sim) { // its driver's program sends the packet to the wire
		p := s.request(4)
		p.at(netkitA, event.NetDevQueue, event.NetDevStartXmit)
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(netkitA, event.NetDevXmit)
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.deliver(netkitA)
	}},
}

// routedByGuest is that a virtual machine took the packet and sends it on.
func (p *packet) routedByGuest(buffer uint64) {
	p.skb += buffer
	p.received = false
	p.ttl--
}
