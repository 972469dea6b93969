// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// side is one who speaks, and what it writes into its packets.
type side struct {
	end          int
	src, dst     netip.Addr
	sport, dport uint16
	srcMAC       net.HardwareAddr
	dstMAC       net.HardwareAddr
}

// conversation is who speaks with whom. The first side begins. What the one sends arrives as what the other
// answers, with source and destination exchanged, if the hypervisor forwards as the specification says.
type conversation struct {
	proto uint8
	sides [2]side
}

type source struct{ *rand.Rand }

func newSource(seed, stream uint64) source { return source{rand.New(rand.NewPCG(seed, stream))} }

func pick[T any](r source, list []T) T { return list[r.IntN(len(list))] }

// chance reports true once in n times.
func (r source) chance(n int) bool { return r.IntN(n) == 0 }

func (r source) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := i; j < min(n, i+8); j++ {
			b[j], v = byte(v), v>>8
		}
	}
	return b
}

// converse begins the nth conversation of a case.
func (s *Spec) converse(r source, n int) *conversation {
	family := 0
	if r.chance(3) {
		family = 1
	}
	c := &conversation{proto: pick(r, []uint8{frame.TCP, frame.TCP, frame.UDP, frame.UDP, frame.ICMP})}
	if c.proto == frame.ICMP && family == 1 {
		c.proto = frame.ICMPv6
	}
	kinds := []func(source, *conversation, int){s.outward, s.outward, s.outward, s.inward, s.sideways}
	if !s.Bridge {
		kinds = append(kinds, s.across)
	}
	first := &c.sides[0]
	first.sport, first.dport = uint16(firstPort+n), pick(r, []uint16{53, 80, 443, 4000})
	kind := pick(r, kinds)
	kind(r, c, family)
	if c.proto == frame.ICMP || c.proto == frame.ICMPv6 {
		c.echo()
	}
	return c
}

// between fills in both sides of what is not translated.
func (s *Spec) between(c *conversation, a, b party, family int, routed bool) {
	first, second := &c.sides[0], &c.sides[1]
	first.end, first.src, first.dst = a.end, a.addrs[family], b.addrs[family]
	first.srcMAC, first.dstMAC = s.own(a.end), s.own(b.end)
	second.srcMAC, second.dstMAC = s.own(b.end), s.own(a.end)
	if routed {
		first.dstMAC, second.dstMAC = s.gateway(a.end), s.gateway(b.end)
	}
	second.end, second.src, second.dst = b.end, first.dst, first.src
	second.sport, second.dport = first.dport, first.sport
}

// outward: a guest speaks to somebody outside.
func (s *Spec) outward(r source, c *conversation, family int) {
	if s.Bridge {
		s.between(c, guests[r.IntN(blueGuest)], near[r.IntN(len(near))], family, false)
		return
	}
	g := r.IntN(len(guests))
	s.between(c, guests[g], far[r.IntN(len(far))], family, true)
	if s.NAT {
		translateSource(c, g, family)
		if g != blueGuest {
			translateMoved(c, family)
		}
	}
}

// translateSource is what the rules in POSTROUTING do.
func translateSource(c *conversation, guest, family int) {
	second := &c.sides[1]
	to := [][2]string{{uplink4, uplink6}, {shared4, shared6}, {public4, public6}, {uplink4, uplink6}}[guest]
	second.dst = netip.MustParseAddr(to[family])
	if guest == 1 {
		second.dport += otherPort - firstPort
	}
}

// translateMoved is what the rules in PREROUTING do to what guests send.
func translateMoved(c *conversation, family int) {
	if c.sides[0].dst != netip.MustParseAddr([]string{moved4, moved6}[family]) {
		return
	}
	second := &c.sides[1]
	switch {
	case c.proto == frame.UDP && second.sport == 53:
		second.sport = 5353
	case c.proto == frame.TCP && second.sport == 80:
		second.sport = 8080
	default:
		return
	}
	second.src = netip.MustParseAddr([]string{movedTo4, movedTo6}[family])
}

// inward: somebody outside speaks to a guest.
func (s *Spec) inward(r source, c *conversation, family int) {
	if s.Bridge {
		s.between(c, near[r.IntN(len(near))], guests[r.IntN(blueGuest)], family, false)
		return
	}
	outside := far[r.IntN(len(far))]
	if !s.NAT {
		s.between(c, outside, guests[r.IntN(len(guests))], family, true)
		return
	}
	first, second := &c.sides[0], &c.sides[1]
	if c.proto != frame.ICMP && c.proto != frame.ICMPv6 && r.chance(2) {
		s.between(c, outside, guests[0], family, true)
		first.dst, first.dport, second.sport = netip.MustParseAddr([]string{uplink4, uplink6}[family]), 2200, 22
		return
	}
	s.between(c, outside, guests[2], family, true)
	first.dst = netip.MustParseAddr([]string{public4, public6}[family])
}

// sideways: two guests of one bridge speak.
func (s *Spec) sideways(r source, c *conversation, family int) {
	a, b := guests[2*r.IntN(2)], guests[1]
	if r.chance(2) {
		a, b = b, a
	}
	s.between(c, a, b, family, false)
}

// across: a guest of red's speaks to one of blue's.
func (s *Spec) across(r source, c *conversation, family int) {
	s.between(c, guests[r.IntN(blueGuest)], guests[blueGuest], family, true)
	if s.NAT && c.proto != frame.ICMP && c.proto != frame.ICMPv6 && r.chance(2) {
		first, second := &c.sides[0], &c.sides[1]
		first.dst, first.dport, second.sport = netip.MustParseAddr([]string{service4, service6}[family]), 99, 98
	}
}

// echo makes identifiers of ports: there is one, which the request and its answer share.
func (c *conversation) echo() {
	first, second := &c.sides[0], &c.sides[1]
	first.dport, second.sport = first.sport, second.dport
}
