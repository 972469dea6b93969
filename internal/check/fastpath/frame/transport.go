// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Flags of TCP.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Where the checksum is in what is above IP.
const (
	TCPSumAt  = 16
	UDPSumAt  = 6
	ICMPSumAt = 2
)

// SumAt returns where a protocol's checksum is in what is above IP.
func SumAt(proto uint8) int {
	switch proto {
	case TCP:
		return TCPSumAt
	case UDP:
		return UDPSumAt
	}
	return ICMPSumAt
}

// Segment is a TCP segment.
type Segment struct {
	Sport, Dport uint16
	Seq, Ack     uint32
	Flags        uint8
	Window       uint16
	// Options are a multiple of 4 bytes.
	Options []byte
	Data    []byte
}

// Bytes returns the segment without its checksum: see [Sum].
func (s *Segment) Bytes() []byte {
	size := 20 + len(s.Options)
	b := make([]byte, size, size+len(s.Data))
	binary.BigEndian.PutUint16(b, s.Sport)
	binary.BigEndian.PutUint16(b[2:], s.Dport)
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	binary.BigEndian.PutUint32(b[8:], s.Ack)
	b[12], b[13] = uint8(size/4)<<4, s.Flags
	binary.BigEndian.PutUint16(b[14:], s.Window)
	copy(b[20:], s.Options)
	return append(b, s.Data...)
}

// Datagram returns a UDP datagram without its checksum.
func Datagram(sport, dport uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return append(b, data...)
}

// Message returns a message of ICMP or ICMPv6 without its checksum.
func Message(typ, code uint8, id, seq uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	return append(b, data...)
}

// VXLAN puts a frame into a tunnel: the result is what is above IP, without a checksum.
func VXLAN(sport uint16, vni uint32, inner []byte) []byte {
	b := make([]byte, 8, 8+len(inner))
	b[0] = 8 // the VNI is valid
	binary.BigEndian.PutUint32(b[4:], vni<<8)
	return Datagram(sport, VXLANPort, append(b, inner...))
}

// VXLANPort is UDP's for VXLAN.
const VXLANPort = 4789

// Sum fills in the checksum of what is above IP.
func Sum(src, dst netip.Addr, proto uint8, b []byte) []byte {
	at := SumAt(proto)
	b[at], b[at+1] = 0, 0
	c := Checksum(b, pseudo(src, dst, proto, len(b)))
	if c == 0 && proto == UDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return b
}

// PartialSum fills in what a sender fills in that leaves the checksum to the device: the sum of the
// pseudo header.
func PartialSum(src, dst netip.Addr, proto uint8, b []byte) []byte {
	at := SumAt(proto)
	binary.BigEndian.PutUint16(b[at:], ^Checksum(nil, pseudo(src, dst, proto, len(b))))
	return b
}

func pseudo(src, dst netip.Addr, proto uint8, size int) uint32 {
	if proto == ICMP {
		return 0
	}
	s := sum(src.AsSlice(), 0)
	return sum(dst.AsSlice(), s) + uint32(proto) + uint32(size)
}

// Checksum adds up the bytes as numbers of 16 bits (RFC 1071), beginning with start.
func Checksum(b []byte, start uint32) uint16 {
	s := sum(b, start)
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}

func sum(b []byte, s uint32) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	return s
}

// MAC returns the address that the text says. It panics if it does not.
func MAC(text string) net.HardwareAddr {
	m, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}
