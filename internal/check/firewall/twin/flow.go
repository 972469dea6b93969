// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"math/rand/v2"
	"net/netip"
)

// flow is who speaks with whom. What is sent in one direction and then in the other belongs to
// one connection, if the hypervisor lets it.
type flow struct {
	proto        uint8
	inside       int // the end of the guest
	outside      int // the end of the other
	guest, peer  netip.Addr
	public       netip.Addr // what the guest is to others
	answerer     netip.Addr // who answers what is sent to the peer
	sport, dport uint16
	seq          [2]uint32
	opened       bool
	// asked: a packet of the guest's was sent, and may be answered.
	asked bool
}

// Values that rules and packets share, so that they often meet.
var (
	peers4  = []string{"203.0.113.8", "203.0.113.9", "203.0.113.10", "203.0.113.77", "198.51.100.200"}
	peers6  = []string{"2001:db8:b::8", "2001:db8:b::9", "2001:db8:b::a", "2001:db8:b::4d"}
	odd4    = []string{bridge4, uplink4, "198.51.100.70", "192.168.0.12", "224.0.0.5", "192.168.0.255", "10.9.9.9"}
	odd6    = []string{bridge6, uplink6, "2001:db8:a::12", "ff02::5", "2001:db8:ffff::1"}
	portSet = []uint16{22, 23, 25, 53, 80, 443, 1023, 1024, 5000, 8080, 40000, 65535}
	icmps4  = [][2]uint8{{8, 0}, {8, 0}, {8, 0}, {0, 0}, {3, 1}, {3, 4}, {11, 0}, {13, 0}, {5, 1}, {8, 1}}
	icmps6  = [][2]uint8{{128, 0}, {128, 0}, {128, 0}, {129, 0}, {1, 4}, {2, 0}, {3, 0}, {128, 1}, {144, 0}}
)

// publics4 are translated to the guests' addresses, and back, where a case translates. What the
// guests send to moved4 is sent to another instead, which is target4.
//
// Two connections must never want the same tuple after translation, because the kernel then
// chooses another port at random, and no two kernels the same.
var publics4 = []string{"198.51.100.11", "198.51.100.12"}

const moved4, target4 = "203.0.113.10", "203.0.113.99"

type source struct{ *rand.Rand }

func pick[T any](r source, list []T) T { return list[r.IntN(len(list))] }

// chance reports true once in n times.
func (r source) chance(n int) bool { return r.IntN(n) == 0 }

func newFlow(r source, v6, translated bool, number int) *flow {
	guests, peers, odd := guests4, peers4, odd4
	if v6 {
		guests, peers, odd = guests6, peers6, odd6
	}
	g := r.IntN(2)
	f := &flow{
		proto: pick(r, []uint8{1, 1, 6, 6, 6, 17, 17, 132, 47}), inside: guestEnd[g], outside: Outside,
		guest: netip.MustParseAddr(guests[g]), peer: netip.MustParseAddr(pick(r, peers)),
		sport: pick(r, portSet), dport: pick(r, portSet), seq: [2]uint32{r.Uint32(), r.Uint32()},
	}
	if v6 && f.proto == 1 {
		f.proto = 58
	}
	f.public, f.answerer = f.guest, f.peer
	if translated {
		f.public = netip.MustParseAddr(publics4[g])
		if f.peer.String() == moved4 {
			f.answerer = netip.MustParseAddr(target4)
		}
	}
	switch {
	case translated && r.chance(12): // by the other guest's public address, and back in
		f.peer, f.outside = netip.MustParseAddr(publics4[1-g]), guestEnd[1-g]
		f.answerer, f.public = netip.MustParseAddr(guests[1-g]), f.guest
		f.sport, f.dport = uint16(3000+number), uint16(13000+number)
	case r.chance(12):
		f.peer = netip.MustParseAddr(pick(r, odd))
		f.answerer = f.peer
	case r.chance(11): // between two guests, over the bridge
		f.peer, f.outside = netip.MustParseAddr(guests[1-g]), guestEnd[1-g]
		f.answerer, f.public = f.peer, f.guest
	}
	return f
}

// mayAnswer reports whether the other may send. Where an address is translated on the way from
// the guest, the guest must be first: see publics4.
func (f *flow) mayAnswer() bool { return f.asked || f.answerer == f.peer }

// packet returns the flow's next packet in one direction.
func (f *flow) packet(r source, out bool) *ip {
	p := &ip{src: f.guest, dst: f.peer, proto: f.proto, ttl: 64, id: uint16(r.Uint32())}
	sport, dport, side := f.sport, f.dport, 0
	if !out {
		side = 1
		p.src, p.dst, sport, dport = f.answerer, f.public, f.dport, f.sport
	}
	if r.chance(6) {
		p.tos = pick(r, []uint8{0x10, 0xb8, 0x28, 0x02, 0x03})
	}
	p.payload = f.transport(r, p, sport, dport, side)
	return p
}

func (f *flow) transport(r source, p *ip, sport, dport uint16, side int) []byte {
	data := make([]byte, pick(r, []int{0, 8, 56, 56, 200, 700}))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	switch f.proto {
	case 6:
		return sumUp(p.src, p.dst, 6, f.segment(r, sport, dport, side, data), 16)
	case 17:
		return sumUp(p.src, p.dst, 17, udp(sport, dport, data), 6)
	case 1, 58:
		return f.message(r, p, side, data)
	case 132:
		b := udp(sport, dport, make([]byte, 20+len(data)/4*4))
		copy(b[4:12], []byte{1, 2, 3, 4, 0, 0, 0, 0})
		b[12], b[15] = 1, 20 // an INIT chunk
		return b
	}
	return append([]byte{0, 0, 8, 0}, data...)
}

// segment returns a TCP segment that often is the next in order.
func (f *flow) segment(r source, sport, dport uint16, side int, data []byte) []byte {
	flags := uint8(ack)
	switch {
	case !f.opened && side == 0:
		flags, data, f.opened = syn, nil, true
	case r.chance(6):
		flags, data = syn|ack, nil
	case r.chance(8):
		flags = fin | ack
	case r.chance(10):
		flags = rst
	case r.chance(7):
		flags = uint8(r.Uint32())
	case r.chance(2):
		flags |= psh
	}
	seq := f.seq[side]
	if r.chance(20) {
		seq += r.Uint32()
	}
	if flags&(syn|fin) != 0 {
		f.seq[side]++
	}
	f.seq[side] += uint32(len(data))
	return tcp(sport, dport, flags, seq, f.seq[1-side], data)
}

// message returns an ICMP message: mostly an echo in its direction.
func (f *flow) message(r source, p *ip, side int, data []byte) []byte {
	kinds := icmps4
	if f.proto == 58 {
		kinds = icmps6
	}
	kind := pick(r, kinds)
	if side == 1 && r.chance(2) {
		kind = kinds[3] // the answer
	}
	b := icmp(kind[0], kind[1], f.sport, uint16(r.IntN(3)), data)
	return sumUp(p.src, p.dst, f.proto, b, 2)
}

// quote returns an ICMP error about a packet of the flow, from a router on the way.
func (f *flow) quote(r source, inner *ip) *ip {
	b := inner.bytes()
	b = b[:min(len(b), 28+r.IntN(40))]
	p := &ip{src: netip.MustParseAddr(router4), dst: inner.src, proto: 1, ttl: 60, id: uint16(r.Uint32())}
	kind := pick(r, [][2]uint8{{3, 1}, {3, 3}, {11, 0}, {3, 4}})
	if !inner.src.Is4() {
		p.src, p.proto = netip.MustParseAddr(router6), 58
		kind = pick(r, [][2]uint8{{1, 0}, {1, 4}, {3, 0}, {2, 0}})
	}
	p.payload = sumUp(p.src, p.dst, p.proto, icmp(kind[0], kind[1], 0, 600, b), 2)
	return p
}
