// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"net/netip"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// odd returns the packet with something about it for which it must not take the fast path, or for which
// it is easy to send another frame than the kernel.
func (f *speech) odd(r source, p *packet) []Step {
	if p.size > 0 {
		return f.oddSegments(r, p)
	}
	s := f.spec
	switch r.IntN(20) {
	case 0:
		return f.pieces(r, p)
	case 1:
		p.Options = []byte{1, 1, 1, 0} // no operations, and the end of options
		if p.V6() {
			p.Next, p.Options = pick(r, []uint8{0, 60}), []byte{p.Proto, 0, 1, 4, 0, 0, 0, 0}
		}
		p.whole()
	case 2: // cut off in the header above IP
		p.whole()
		p.Payload = p.Payload[:min(len(p.Payload), pick(r, []int{0, 1, 3, 4, 7, 8, 12, 13, 19}))]
	case 3:
		p.BadSum = true
	case 4:
		p.whole()
		p.Payload[len(p.Payload)-1] ^= 0x5a
	case 5:
		p.TTL = pick(r, []uint8{0, 1, 2, 3})
	case 6:
		p.Short = 1 + r.IntN(40)
	case 7, 8:
		p.Padding = 1 + r.IntN(46)
	case 9:
		p.tooLong(r, s)
	case 10:
		return s.steps(p, p.Bytes(), uint16(1+r.IntN(3)))
	case 11:
		p.Fragment = 0x8000 // IPv4's reserved bit
	case 12, 13:
		return append(s.steps(p, p.Bytes(), 0), f.quote(r, p)...)
	case 14:
		p.TOS = uint8(r.Uint32())
	case 15, 16:
		p.from = f.misaddressed(r, p.from)
	case 17, 18:
		f.flags(r, p)
	case 19:
		if p.Proto == frame.UDP {
			p.whole()
			p.Payload[frame.UDPSumAt], p.Payload[frame.UDPSumAt+1] = 0, 0
		}
	}
	return s.steps(p, p.Bytes(), 0)
}

// oddSegments is odd for what the device is to cut.
func (f *speech) oddSegments(r source, p *packet) []Step {
	switch r.IntN(4) {
	case 0:
		p.TTL = pick(r, []uint8{1, 2})
	case 1:
		p.TOS = uint8(r.Uint32())
	case 2: // segments that are too long for the NIC
		if p.Proto == frame.TCP && len(p.Payload) > 3000 {
			p.size = 2000
		}
	case 3:
		p.from = f.misaddressed(r, p.from)
	}
	return f.spec.steps(p, p.Bytes(), 0)
}

// whole leaves nothing to the device.
func (p *packet) whole() {
	if p.partial {
		p.partial = false
		frame.Sum(p.Src, p.Dst, p.Proto, p.Payload)
	}
}

// tooLong makes the packet longer than what fits through the NIC.
func (p *packet) tooLong(r source, s *Spec) {
	p.whole()
	if p.Proto == frame.TCP {
		return // or its sequence numbers would not go on
	}
	p.Payload = append(p.Payload, r.bytes(max(0, s.room()+1+r.IntN(2000)-p.HeaderLen()-len(p.Payload)))...)
	if p.Proto == frame.UDP {
		p.Payload[4], p.Payload[5] = byte(len(p.Payload)>>8), byte(len(p.Payload))
	}
	frame.Sum(p.Src, p.Dst, p.Proto, p.Payload)
	p.Fragment = pick(r, []uint16{0, 0, 0x4000})
}

// misaddressed is a side that writes another Ethernet address.
func (f *speech) misaddressed(r source, from *side) *side {
	s := *from
	other := frame.MAC(pick(r, []string{"02:00:00:00:09:09", "ff:ff:ff:ff:ff:ff", redMAC, ports[Guest0].mac, "01:00:5e:00:00:05"}))
	if r.chance(3) {
		s.srcMAC = frame.MAC("02:00:00:00:09:0a")
	} else {
		s.dstMAC = other
	}
	return &s
}

// flags opens or closes a TCP connection in its midst.
func (f *speech) flags(r source, p *packet) {
	if p.Proto != frame.TCP || f.opened < 3 || f.spec.Windows {
		return
	}
	p.whole()
	kinds := []uint8{frame.FIN | frame.ACK, frame.RST | frame.ACK, 0, frame.SYN | frame.FIN}
	if p.from.sport == f.sides[0].sport { // one who opens anew must be the one who is translated
		kinds = append(kinds, frame.SYN, frame.SYN)
	}
	p.Payload[13] = pick(r, kinds)
	frame.Sum(p.Src, p.Dst, p.Proto, p.Payload)
	if p.Payload[13]&(frame.FIN|frame.RST) != 0 && r.chance(2) {
		f.opened = 0 // and opens it again
	}
}

// pieces cuts the packet into fragments, which may come in any order, or not all.
func (f *speech) pieces(r source, p *packet) []Step {
	p.whole()
	cut := 8 * (1 + r.IntN(max(1, len(p.Payload)/8)))
	if cut >= len(p.Payload) {
		p.Fragmented, p.Fragment = true, 0 // whole, with a fragment header if it is IPv6
		return f.spec.steps(p, p.Bytes(), 0)
	}
	a, b := *p, *p
	a.Payload, b.Payload = p.Payload[:cut], p.Payload[cut:]
	a.Fragmented, b.Fragmented = true, true
	a.Fragment, b.Fragment = 0x2000, uint16(cut/8)
	if p.V6() {
		a.Fragment, b.Fragment = 1, uint16(cut)
	}
	first, second := f.spec.steps(&a, a.Bytes(), 0), f.spec.steps(&b, b.Bytes(), 0)
	if r.chance(4) {
		return append(second, first...)
	}
	return append(first, second...)
}

// quote is an ICMP error about what the other side has got, from a router on the way to it.
func (f *speech) quote(r source, about *packet) []Step {
	other := &f.sides[0]
	if about.from == other || about.from.end == other.end && about.from.src == other.src {
		other = &f.sides[1]
	}
	got := about.IP
	got.Src, got.Dst = other.dst, other.src
	got.Payload = append([]byte(nil), about.Payload...)
	if f.proto == frame.TCP || f.proto == frame.UDP {
		copy(got.Payload, []byte{byte(other.dport >> 8), byte(other.dport), byte(other.sport >> 8), byte(other.sport)})
	} else {
		copy(got.Payload[4:], []byte{byte(other.sport >> 8), byte(other.sport)})
	}
	inner := got.Bytes()
	inner = inner[:min(len(inner), 48+r.IntN(80))]
	p := &packet{from: other, IP: frame.IP{Src: other.src, Dst: other.dst, Proto: frame.ICMP, TTL: 60, ID: uint16(r.Uint32())}}
	kind := pick(r, [][2]uint8{{3, 1}, {3, 3}, {11, 0}, {3, 4}})
	if other.src.Is6() {
		p.Proto = frame.ICMPv6
		kind = pick(r, [][2]uint8{{1, 0}, {1, 4}, {3, 0}, {2, 0}})
	}
	if other.end == Outside && r.chance(2) {
		p.Src = netip.MustParseAddr([]string{router4, router6}[family(p.Dst)])
	}
	p.Payload = frame.Sum(p.Src, p.Dst, p.Proto, frame.Message(kind[0], kind[1], 0, 1400, inner))
	return f.spec.steps(p, p.Bytes(), 0)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
