// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
)

// Protocols above IP.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	// Other is a protocol that nothing understands: see RFC 3692.
	Other = 253
)

const (
	typeIPv4 = 0x0800
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100
)

// IP is an IP packet as it is to be sent, right or wrong.
type IP struct {
	Src, Dst netip.Addr
	Proto    uint8
	// Payload is what is above IP, its checksum filled in.
	Payload  []byte
	TOS, TTL uint8
	ID       uint16
	// Label is IPv6's flow label.
	Label uint32
	// Fragment is IPv4's field of flags and offset, or, if Fragmented, IPv6's field of offset
	// and flag in a fragment header.
	Fragment   uint16
	Fragmented bool
	// Options are IPv4's, a multiple of 4 bytes, or IPv6's extension headers, of which Next is
	// the type of the first.
	Options []byte
	Next    uint8
	// BadSum makes IPv4's checksum wrong. Short is how many bytes the packet says too many.
	BadSum bool
	Short  int
	// Padding are bytes after the packet.
	Padding int
}

// V6 reports whether it is a packet of IPv6.
func (p *IP) V6() bool { return !p.Src.Is4() }

// HeaderLen returns the length of all headers before the payload, in bytes.
func (p *IP) HeaderLen() int {
	if !p.V6() {
		return 20 + len(p.Options)
	}
	n := 40 + len(p.Options)
	if p.Fragmented {
		n += 8
	}
	return n
}

// Bytes returns the packet.
func (p *IP) Bytes() []byte {
	var b []byte
	if p.V6() {
		b = p.bytes6()
	} else {
		b = p.bytes4()
	}
	return append(b, make([]byte, p.Padding)...)
}

func (p *IP) bytes4() []byte {
	size := 20 + len(p.Options)
	b := make([]byte, size, size+len(p.Payload)+p.Padding)
	b[0], b[1] = 4<<4|uint8(size/4), p.TOS
	binary.BigEndian.PutUint16(b[2:], uint16(size+len(p.Payload)+p.Short))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	binary.BigEndian.PutUint16(b[6:], p.Fragment)
	b[8], b[9] = p.TTL, p.Proto
	copy(b[12:], p.Src.AsSlice())
	copy(b[16:], p.Dst.AsSlice())
	copy(b[20:], p.Options)
	sum := Checksum(b, 0)
	if p.BadSum {
		sum ^= 0x5555
	}
	binary.BigEndian.PutUint16(b[10:], sum)
	return append(b, p.Payload...)
}

func (p *IP) bytes6() []byte {
	ext, next := slices.Clone(p.Options), p.Next
	if len(ext) == 0 {
		next = p.Proto
	}
	if p.Fragmented {
		if len(ext) == 0 {
			next = 44
		}
		ext = append(ext, p.Proto, 0, byte(p.Fragment>>8), byte(p.Fragment), 0, 0, byte(p.ID>>8), byte(p.ID))
	}
	b := make([]byte, 40, 40+len(ext)+len(p.Payload)+p.Padding)
	binary.BigEndian.PutUint32(b, 6<<28|uint32(p.TOS)<<20|p.Label&0xfffff)
	binary.BigEndian.PutUint16(b[4:], uint16(len(ext)+len(p.Payload)+p.Short))
	b[6], b[7] = next, p.TTL
	copy(b[8:], p.Src.AsSlice())
	copy(b[24:], p.Dst.AsSlice())
	return append(append(b, ext...), p.Payload...)
}

// Ethernet puts a packet into a frame, with a VLAN tag if vlan is not 0.
func Ethernet(dst, src net.HardwareAddr, vlan uint16, packet []byte) []byte {
	b := make([]byte, 0, 18+len(packet))
	b = append(append(b, dst...), src...)
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(b, typeVLAN)
		b = binary.BigEndian.AppendUint16(b, vlan)
	}
	typ := uint16(typeIPv4)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		typ = typeIPv6
	}
	return append(binary.BigEndian.AppendUint16(b, typ), packet...)
}
