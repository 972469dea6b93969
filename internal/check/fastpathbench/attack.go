// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// attack is what a tenant does to others.
type attack struct {
	name, summary string
	// fills says that the tenant's table has to be full before anything is measured.
	fills  bool
	frames func(*stranger) [][]byte
}

// stranger is the tenant that attacks, as its frames show it.
type stranger struct{ next, own net.HardwareAddr }

func attacks() []attack {
	return []attack{
		{name: "table", summary: "more flows than its table has room for", fills: true, frames: (*stranger).pings},
		{name: "syn", summary: "connections that are only begun", frames: (*stranger).syns},
		{name: "spoof", summary: "packets with others' addresses, those of the other's own flow among them", frames: (*stranger).spoofed},
		{name: "malformed", summary: "packets that are not valid", frames: (*stranger).malformed},
	}
}

func findAttack(name string) (attack, error) {
	var names []string
	for _, a := range attacks() {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	return attack{}, fmt.Errorf("-attacks: %q is not one of %v", name, names)
}

const (
	// strangersRoom is how many entries a tenant may have while isolation is measured: few, so that the table
	// is full soon.
	strangersRoom = 2048
	// strangersFlows is how many flows the tenant has that fills it, of two entries each.
	strangersFlows = 2 * strangersRoom
)

// send returns a frame of the stranger's.
func (s *stranger) send(p *frame.IP) []byte {
	return frame.Ethernet(s.next, s.own, 0, p.Bytes())
}

// far returns one of the outside's many addresses.
func far(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
}

// echo returns an echo request of the stranger's, or in another's name.
func echo(src, dst netip.Addr, id, seq uint16) *frame.IP {
	p := &frame.IP{Src: src, Dst: dst, Proto: frame.ICMP, TTL: 64}
	p.Payload = frame.Sum(src, dst, p.Proto, frame.Message(8, 0, id, seq, make([]byte, dataLen)))
	return p
}

// segment returns a TCP segment, without data.
func segment(src, dst netip.Addr, sport, dport uint16, flags uint8) *frame.IP {
	p := &frame.IP{Src: src, Dst: dst, Proto: frame.TCP, TTL: 64}
	p.Payload = frame.Sum(src, dst, p.Proto, (&frame.Segment{Sport: sport, Dport: dport, Seq: 1, Flags: flags, Window: 1024}).Bytes())
	return p
}

// pings are of more flows than there is room for. Each is answered, and so can be learnt.
func (s *stranger) pings() (all [][]byte) {
	for i := range strangersFlows {
		all = append(all, s.send(echo(netip.MustParseAddr(otherAddr), far(i), uint16(i+1), 1)))
	}
	return all
}

// syns begin connections, which are refused.
func (s *stranger) syns() (all [][]byte) {
	for i := range 1 << 15 {
		all = append(all, s.send(segment(netip.MustParseAddr(otherAddr), far(i%1024), uint16(1024+i), 80, frame.SYN)))
	}
	return all
}

// spoofed are sent in the name of the other guest's very flow, of other addresses of its network, of the
// outside, and of strangers.
func (s *stranger) spoofed() (all [][]byte) {
	guest, outside := netip.MustParseAddr(guestAddr), netip.MustParseAddr(outsideAddr)
	for i := range 1 << 12 {
		for _, p := range []*frame.IP{
			echo(guest, outside, 1, 2), // not the sequence number that the guest waits for
			echo(netip.AddrFrom4([4]byte{10, 0, 0, byte(16 + i%128)}), outside, uint16(i+1), 1),
			echo(far(i%256), guest, 1, 1), // the guest answers
			segment(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), outside, uint16(1024+i), port, frame.ACK),
		} {
			all = append(all, s.send(p))
		}
	}
	return all
}

// malformed are packets that the kernel drops or answers, each in one way.
func (s *stranger) malformed() (all [][]byte) {
	from := netip.MustParseAddr(otherAddr)
	for i := range 1 << 10 {
		to, id := far(i), uint16(i+1)
		for _, change := range []func(*frame.IP){
			func(p *frame.IP) { p.BadSum = true },
			func(p *frame.IP) { p.Payload[frame.ICMPSumAt] ^= 0x55 },
			func(p *frame.IP) { p.Short = 100 },
			func(p *frame.IP) { p.Payload = p.Payload[:i%8] },
			func(p *frame.IP) { p.TTL = uint8(i % 2) },
			func(p *frame.IP) { p.Options = []byte{7, 7, 4, 0, 0, 0, 0, 0} },
			func(p *frame.IP) { p.Fragment = 0x2000 },
			func(p *frame.IP) { p.Fragment = uint16(1 + i%100) },
			func(p *frame.IP) { p.Proto = frame.Other },
		} {
			p := echo(from, to, id, 1)
			change(p)
			all = append(all, s.send(p))
		}
		flags := segment(from, to, id, 80, frame.SYN|frame.FIN|frame.RST)
		cut := segment(from, to, id, 80, frame.ACK)
		cut.Payload = cut.Payload[:12]
		version := s.send(echo(from, to, id, 1))
		version[ethLen] = 0x65
		all = append(all, s.send(flags), s.send(cut), version)
	}
	return all
}
