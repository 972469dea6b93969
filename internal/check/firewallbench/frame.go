// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/check/traffic"
)

// Lengths of headers and data, in bytes.
const (
	ethLen  = traffic.EthLen
	ipLen   = traffic.IPLen
	dataLen = 24
)

// frame returns the packet as the guest sends it to the bridge. The TTL is 64, the data zeros.
func (l *lab) frame(p *header.Packet) []byte {
	proto := byte(p.Words[header.Proto])
	transport := make([]byte, 8, 64)
	if proto == header.TCP {
		transport = transport[:20]
	}
	transport = append(transport, make([]byte, dataLen)...)
	sport, dport := uint16(p.Words[header.Sport]), uint16(p.Words[header.Dport])
	sum := 6 // where UDP has its checksum, which may be 0
	switch proto {
	case header.ICMP:
		transport[0], transport[1] = byte(sport>>8), byte(sport)
		sum = 2
	case header.TCP:
		transport[12], transport[13], sum = 5<<4, byte(p.Words[header.Flags]), 16
		fallthrough
	case header.UDP:
		binary.BigEndian.PutUint16(transport[0:], sport)
		binary.BigEndian.PutUint16(transport[2:], dport)
		if proto == header.UDP {
			binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
		}
	}
	f := make([]byte, ethLen+ipLen, ethLen+ipLen+len(transport))
	copy(f[0:], l.bridge)
	copy(f[6:], l.guestMAC)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	ip := f[ethLen:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(ipLen+len(transport)))
	binary.BigEndian.PutUint32(ip[12:], p.Words[header.Src0])
	binary.BigEndian.PutUint32(ip[16:], p.Words[header.Dst0])
	binary.BigEndian.PutUint16(ip[10:], traffic.Checksum(0, ip))
	switch proto {
	case header.ICMP:
		binary.BigEndian.PutUint16(transport[sum:], traffic.Checksum(0, transport))
	case header.TCP:
		pseudo := uint32(proto) + uint32(len(transport))
		for i := 12; i < 20; i += 2 {
			pseudo += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
		binary.BigEndian.PutUint16(transport[sum:], traffic.Checksum(pseudo, transport))
	}
	return append(f, transport...)
}

// plain is a packet of the one flow: package synth's, of another protocol.
func plain(proto uint32, dport uint16) header.Packet {
	p := header.Packet{Family: header.V4}
	p.Words[header.Proto] = proto
	p.SetAddress(header.Src0, netip.MustParseAddr(guestAddr))
	p.SetAddress(header.Dst0, netip.MustParseAddr(outsideAddr))
	p.Assume()
	if header.HasPorts(proto) {
		p.Words[header.Dport] = uint32(dport)
	}
	return p
}
