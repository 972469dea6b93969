// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// fastReasons names one reason of the fast path.
type fastReasons struct{ correlate.Numbers }

func (fastReasons) FastPathReason(code uint16) string {
	return map[uint16]string{10: "fragment"}[code]
}

var ensMAC, gatewayMAC = [6]byte{0x52, 0x54, 0, 0, 0, 1}, [6]byte{0x52, 0x54, 0, 0, 0, 2}

// sent has the fast path change the packet and send it from d to another device.
func (p *packet) sent(d, to dev, change func(*event.Rewrite)) {
	p.act(d, event.Action{Deed: event.Redirect, Tenant: 7, To: to.index, Place: event.AtTC, Nanoseconds: 640})
	r := event.Rewrite{
		Src: event.AddressFrom(p.src), Dst: event.AddressFrom(p.dst), ID: p.id, TTL: p.ttl - 1,
		To: gatewayMAC, From: ensMAC, LeaseMilliseconds: 9500,
	}
	if change != nil {
		change(&r)
	}
	p.sim.events[len(p.sim.events)-1].Rewrite = r
	p.src, p.dst, p.id, p.ttl = r.Src.Addr(), r.Dst.Addr(), r.ID, r.TTL
	if r.Peer != (event.Place{}) {
		p.received = true
	}
}

// masked and unmasked rewrite addresses as NAT does, handed gives the packet to the guest's device.
func masked(r *event.Rewrite)   { r.Src, r.ID = event.AddressFrom(natAddr), r.ID+1000 }
func unmasked(r *event.Rewrite) { r.Dst, r.ID = event.AddressFrom(guestAddr), r.ID-1000 }
func handed(r *event.Rewrite) {
	unmasked(r)
	r.Peer = event.Place{NetNS: vethA.ns, IfIndex: vethA.index}
}

// out takes a request of the guest's by the fast path to a physical NIC; answered is its reply, which has
// arrived there.
func (p *packet) out() {
	p.ttl = 64
	p.cross(vethA, va)
	p.sent(va, ens3, masked)
	p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
}

func (p *packet) answered() *packet {
	r := p.reply()
	r.ttl = 60
	r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	return r
}

// fastPaths are what the fast path does to packets.
var fastPaths = []scenario{
	{"fast-path-both-ways", func(s *sim) {
		p := s.request(40)
		p.out()
		r := p.answered()
		r.sent(ens3, va, unmasked)
		r.cross(va, vethA)
		r.deliver(vethA)
	}},
	{"fast-path-handed-to-the-guest", func(s *sim) {
		p := s.request(41)
		p.out()
		r := p.answered()
		r.sent(ens3, va, handed)
		r.deliver(vethA)
	}},
	{"fast-path-guest-is-pinged", func(s *sim) {
		p := s.request(42)
		p.src, p.dst, p.id, p.ttl = targetAddr, natAddr, 1077, 60
		p.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		p.sent(ens3, va, handed)
		r := p.reply()
		r.out()
	}},
	{"fast-path-to-a-nic-of-a-pair", func(s *sim) {
		p := s.request(43)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, ens3, masked)
		p.cross(ens3, outside0)
		r := p.reply()
		r.ttl = 64
		r.cross(outside0, ens3)
		r.sent(ens3, va, handed)
		r.deliver(vethA)
	}},
	{"fast-path-between-ports", func(s *sim) {
		p := s.request(44)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, vb, nil)
		p.cross(vb, vethB)
		r := p.reply()
		r.ttl = 64
		r.cross(vethB, vb)
		r.sent(vb, va, func(r *event.Rewrite) { r.Peer = event.Place{NetNS: vethA.ns, IfIndex: vethA.index} })
		r.deliver(vethA)
	}},
	{"fast-path-to-a-bond", func(s *sim) {
		p := s.request(45)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, bond0, func(r *event.Rewrite) { r.Flags, r.To, r.From = event.RewriteNextHop, [6]byte{}, [6]byte{} })
		p.at(bond0, event.NetDevQueue, event.NetDevStartXmit)
		p.at(up1, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		p.at(bond0, event.NetDevXmit)
	}},
	{"fast-path-by-tunnel", func(s *sim) {
		outer := &event.Tunnel{Src: event.AddressFrom(natAddr), Dst: event.AddressFrom(netip.MustParseAddr("192.0.2.9")), ID: 7, Type: event.VXLAN}
		p := s.request(46)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, ens3, func(r *event.Rewrite) { r.Flags = event.RewriteEncapsulated })
		p.outer = outer
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		r := p.reply()
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		r.sent(ens3, va, func(r *event.Rewrite) {
			r.Flags, r.Peer = event.RewriteDecapsulated, event.Place{NetNS: vethA.ns, IfIndex: vethA.index}
		})
		r.outer = nil
		r.deliver(vethA)
	}},
	{"fast-path-dropped-in-queue", func(s *sim) {
		p := s.request(47)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, ens3, masked)
		p.at(ens3, event.NetDevQueue)
		p.event(ens3, event.KfreeSKB, 2)
	}},
	{"fast-path-dropped-before-queue", func(s *sim) {
		p := s.request(48)
		p.ttl = 64
		p.cross(vethA, va)
		p.sent(va, ens3, masked)
		p.event(ens3, event.KfreeSKB, 2)
	}},
	{"fast-path-left-to-the-kernel", func(s *sim) {
		did := func(p *packet, d dev, a event.Action) {
			a.Tenant, a.Place = 7, event.AtTC
			p.act(d, a)
		}
		p := s.request(49)
		p.ttl = 64
		p.cross(vethA, va)
		did(p, va, event.Action{Deed: event.Fallback, Reason: 10, Nanoseconds: 80})
		p.ttl = 63
		did(p, ens3, event.Action{Deed: event.Learn, Reason: uint16(event.LearntMade)})
		p.cross(ens3, outside0)
		r := p.reply()
		r.ttl = 64
		r.cross(outside0, ens3)
		did(r, ens3, event.Action{Deed: event.Fallback, Reason: 11})
		r.ttl = 63
		did(r, va, event.Action{Deed: event.Learn, Reason: uint16(event.LearntRenewed)})
		did(r, va, event.Action{Deed: event.Learn, Verdict: event.LearnNothing, Reason: 10})
		r.cross(va, vethA)
		r.deliver(vethA)
	}},
}

// drawFastPing takes a request by the fast path to a NIC of one of three kinds, or lets it die on its way
// there, and its reply to the port or to the guest's own device.
func drawFastPing(t *rapid.T, p *packet) {
	p.ttl = 64
	p.cross(vethA, va)
	p.sent(va, ens3, func(r *event.Rewrite) { r.Src, r.ID = event.AddressFrom(natAddr), p.id+1000 })
	pair := false
	switch to := rapid.IntRange(0, 3).Draw(t, "to"); {
	case to == 0 && p.length > 0: // otherwise another ping in the same buffer may be what the driver made of this one
		p.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
	case to == 1:
		p.at(ens3, event.NetDevQueue)
		p.event(ens3, event.KfreeSKB, 2)
		return
	case to == 2:
		p.event(ens3, event.KfreeSKB, 2)
		return
	default:
		p.cross(ens3, outside0)
		pair = true
	}
	id := p.id - 1000
	r := p.reply()
	r.ttl = 60
	if pair {
		r.cross(outside0, ens3)
	} else {
		r.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
	}
	toPeer := rapid.Bool().Draw(t, "to the peer")
	r.sent(ens3, va, func(w *event.Rewrite) {
		w.Dst, w.ID = event.AddressFrom(netip.AddrFrom4([4]byte{192, 168, 0, byte(id - 90)})), id
		if toPeer {
			w.Peer = event.Place{NetNS: vethA.ns, IfIndex: vethA.index}
		}
	})
	if !toPeer {
		r.cross(va, vethA)
	}
	r.deliver(vethA)
}

// In each direction in which the fast path had the packet, it is one leaf, which is all that its
// hypervisor has, from arrival to where it leaves.
func TestFastPathIsOneLeaf(t *testing.T) {
	for name, want := range map[string]int{
		"fast-path-both-ways": 2, "fast-path-handed-to-the-guest": 2, "fast-path-guest-is-pinged": 2,
		"fast-path-to-a-nic-of-a-pair": 2, "fast-path-between-ports": 2, "fast-path-by-tunnel": 2,
		"fast-path-dropped-in-queue": 1, "fast-path-dropped-before-queue": 1, "fast-path-left-to-the-kernel": 0,
	} {
		tr := traceOf(t, name)
		leaves := 0
		for i := range tr.Spans {
			s := &tr.Spans[i]
			if s.Kind != trace.KindHypervisor {
				continue
			}
			if child := &tr.Spans[i+1]; child.Kind == trace.KindFastPath {
				leaves++
				if !child.Leaf || child.Start != s.Start || child.End != s.End || tr.After(i) != i+2 {
					t.Errorf("%s: %v is not all of %v", name, child, s)
				}
				if !slices.ContainsFunc(child.Events, func(e trace.Event) bool { return e.Name == trace.EventRedirect }) {
					t.Errorf("%s: %v has the events %+v", name, child, child.Events)
				}
			}
		}
		if leaves != want || tr.TookFastPath() != (want > 0) {
			t.Errorf("%s: %d leaves are the fast path's, want %d", name, leaves, want)
		}
	}
}

// What is handed to the guest's device is delivered there, from that moment on.
func TestHandedIsDeliveredByTheGuest(t *testing.T) {
	tr := traceOf(t, "fast-path-handed-to-the-guest")
	last := &tr.Spans[len(tr.Spans)-1]
	fast := &tr.Spans[len(tr.Spans)-2]
	if tr.Outcome != trace.Complete || last.Kind != trace.KindDeliver || fast.Kind != trace.KindFastPath {
		t.Fatalf("%s", render(tr))
	}
	if last.NetNS.Name != "guest" || last.Device.Name != vethA.name || last.Start != fast.End || last.Packet.Dst != guestAddr {
		t.Errorf("delivered by %s on %s to %s from %d on, want from %d on", last.NetNS.Name, last.Device.Name, last.Packet.Dst, last.Start, fast.End)
	}
}

// A payload that does not tell pings apart does not matter: the reply is found by the addresses
// that the fast path gave the request.
func TestFastPathOfConstantPayload(t *testing.T) {
	s := newSim()
	for seq := range uint16(3) {
		p := s.request(50 + seq)
		p.payload, p.length = [event.PayloadPrefix]byte{}, 0
		p.out()
		r := p.answered()
		r.sent(ens3, va, handed)
		r.deliver(vethA)
	}
	traces, stats := run(s.events, correlate.Options{})
	if len(traces) != 3 || stats.Complete != 3 {
		t.Errorf("%d traces, %+v", len(traces), stats)
	}
}

func traceOf(t *testing.T, name string) *trace.Trace {
	t.Helper()
	for _, g := range fastPaths {
		if g.name == name {
			s := newSim()
			g.what(s)
			traces, _ := run(s.events, correlate.Options{Start: s.events[0].Time})
			if len(traces) != 1 {
				t.Fatalf("%s: %d traces", name, len(traces))
			}
			return traces[0]
		}
	}
	t.Fatalf("%s does not happen", name)
	return nil
}
