// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"encoding/binary"
	"net/netip"
)

// Flags of TCP.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
	urg
)

// ip is an IP packet as it is to be sent, right or wrong.
type ip struct {
	src, dst netip.Addr
	proto    uint8
	payload  []byte // from the header above IP on, its checksum filled in
	tos, ttl uint8
	id       uint16
	// fragment is IPv4's field of flags and offset, or IPv6's of offset and flag in a fragment
	// header, if fragmented.
	fragment   uint16
	fragmented bool
	// options are IPv4's, a multiple of 4 bytes, or IPv6's extension headers.
	options []byte
	// next is the type of the first of IPv6's extension headers.
	next uint8
	// badSum makes IPv4's checksum wrong; short is how many bytes the packet says too many.
	badSum bool
	short  int
}

func (p *ip) bytes() []byte {
	if p.src.Is4() {
		return p.bytes4()
	}
	return p.bytes6()
}

func (p *ip) bytes4() []byte {
	size := 20 + len(p.options)
	b := make([]byte, size, size+len(p.payload))
	b[0] = 4<<4 | uint8(size/4)
	b[1] = p.tos
	binary.BigEndian.PutUint16(b[2:], uint16(size+len(p.payload)+p.short))
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], p.fragment)
	b[8], b[9] = p.ttl, p.proto
	copy(b[12:], p.src.AsSlice())
	copy(b[16:], p.dst.AsSlice())
	copy(b[20:], p.options)
	sum := checksum(b, 0)
	if p.badSum {
		sum ^= 0x5555
	}
	binary.BigEndian.PutUint16(b[10:], sum)
	return append(b, p.payload...)
}

func (p *ip) bytes6() []byte {
	ext, next := p.options, p.next
	if len(ext) == 0 {
		next = p.proto
	}
	if p.fragmented {
		if len(ext) == 0 {
			next = 44
		}
		f := []byte{p.proto, 0, byte(p.fragment >> 8), byte(p.fragment), 0, 0, byte(p.id >> 8), byte(p.id)}
		ext = append(append([]byte(nil), ext...), f...)
	}
	b := make([]byte, 40, 40+len(ext)+len(p.payload))
	b[0] = 6<<4 | p.tos>>4
	b[1] = p.tos << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(ext)+len(p.payload)+p.short))
	b[6], b[7] = next, p.ttl
	copy(b[8:], p.src.AsSlice())
	copy(b[24:], p.dst.AsSlice())
	b = append(b, ext...)
	return append(b, p.payload...)
}

// frame puts a packet into a frame of Ethernet, with a VLAN tag if vlan is not 0.
func frame(dst, src string, vlan uint16, packet []byte) []byte {
	b := append([]byte(nil), mac(dst)...)
	b = append(b, mac(src)...)
	if vlan != 0 {
		b = append(b, 0x81, 0, byte(vlan>>8), byte(vlan))
	}
	if packet[0]>>4 == 6 {
		b = append(b, 0x86, 0xdd)
	} else {
		b = append(b, 8, 0)
	}
	return append(b, packet...)
}

// sumUp fills in the checksum at the offset of what is above IP.
func sumUp(src, dst netip.Addr, proto uint8, b []byte, at int) []byte {
	var pseudo uint32
	for _, a := range []netip.Addr{src, dst} {
		pseudo = sum(a.AsSlice(), pseudo)
	}
	pseudo += uint32(proto) + uint32(len(b))
	if proto == 1 {
		pseudo = 0
	}
	b[at], b[at+1] = 0, 0
	c := checksum(b, pseudo)
	if c == 0 && proto == 17 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return b
}

func tcp(sport, dport uint16, flags uint8, seq, ackNo uint32, data []byte) []byte {
	b := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ackNo)
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 0xffff)
	return append(b, data...)
}

func udp(sport, dport uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return append(b, data...)
}

func icmp(typ, code uint8, id, seq uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	return append(b, data...)
}

// sum adds up the bytes as numbers of 16 bits (RFC 1071).
func sum(b []byte, s uint32) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	return s
}

func checksum(b []byte, start uint32) uint16 {
	s := sum(b, start)
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
