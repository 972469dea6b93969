// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// Parsed is what is found in a frame, as far as it goes.
type Parsed struct {
	Dst, Src net.HardwareAddr
	// Type is the EtherType, of what is in a VLAN the inner one.
	Type uint16
	VLAN uint16
	// IP is the IP packet with what follows it, or nil.
	IP           []byte
	From, To     netip.Addr
	Proto        uint8
	TTL, TOS     uint8
	Length       int // as the IP header says, with the header
	Fragment     bool
	Transport    []byte // what is above IP, or nil
	Sport, Dport uint16 // of TCP and UDP; of an echo the identifier, and type * 256 + code
}

// Parse reads a frame. Extension headers of IPv6 are not followed.
func Parse(b []byte) *Parsed {
	p := &Parsed{}
	if len(b) < 14 {
		return p
	}
	p.Dst, p.Src, p.Type = net.HardwareAddr(b[:6]), net.HardwareAddr(b[6:12]), binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	if p.Type == typeVLAN && len(b) >= 4 {
		p.VLAN, p.Type, b = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	switch {
	case p.Type == typeIPv4 && len(b) >= 20:
		p.readIPv4(b)
	case p.Type == typeIPv6 && len(b) >= 40:
		p.readIPv6(b)
	}
	p.readPorts()
	return p
}

func (p *Parsed) readIPv4(b []byte) {
	p.IP = b
	p.From, p.To = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.Proto, p.TTL, p.TOS = b[9], b[8], b[1]
	p.Length = int(binary.BigEndian.Uint16(b[2:]))
	p.Fragment = binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	if at := int(b[0]&15) * 4; len(b) >= at {
		p.Transport = b[at:max(at, min(len(b), p.Length))]
	}
}

func (p *Parsed) readIPv6(b []byte) {
	p.IP = b
	p.From, p.To = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.Proto, p.TTL, p.TOS = b[6], b[7], uint8(binary.BigEndian.Uint32(b)>>20)
	p.Length = 40 + int(binary.BigEndian.Uint16(b[4:]))
	p.Fragment = p.Proto == 44
	p.Transport = b[40:min(len(b), p.Length)]
}

func (p *Parsed) readPorts() {
	t := p.Transport
	if p.Fragment || len(t) < 8 {
		return
	}
	switch p.Proto {
	case TCP, UDP:
		p.Sport, p.Dport = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	case ICMP, ICMPv6:
		p.Sport, p.Dport = binary.BigEndian.Uint16(t[4:]), binary.BigEndian.Uint16(t)
	}
}

// Inner returns the frame that is in a VXLAN tunnel and its VNI, or nil.
func (p *Parsed) Inner() (inner []byte, vni uint32) {
	if p.Proto != UDP || p.Dport != VXLANPort || len(p.Transport) < 16 {
		return nil, 0
	}
	return p.Transport[16:], binary.BigEndian.Uint32(p.Transport[12:]) >> 8
}

// SumIsRight reports whether the checksum above IP is right. A packet of UDP may have none.
func (p *Parsed) SumIsRight() bool {
	at := SumAt(p.Proto)
	if p.Fragment || len(p.Transport) < at+2 {
		return false
	}
	if p.Proto == UDP && p.Transport[at] == 0 && p.Transport[at+1] == 0 {
		return true
	}
	return Checksum(p.Transport, pseudo(p.From, p.To, p.Proto, len(p.Transport))) == 0
}

// String says in words what a frame is.
func (p *Parsed) String() string {
	if p.IP == nil {
		return fmt.Sprintf("%s > %s type %04x", p.Src, p.Dst, p.Type)
	}
	text := fmt.Sprintf("%s > %s %s:%d > %s:%d proto %d ttl %d tos %02x length %d of %d",
		p.Src, p.Dst, p.From, p.Sport, p.To, p.Dport, p.Proto, p.TTL, p.TOS, p.Length, len(p.IP))
	if p.From.Is4() {
		text += fmt.Sprintf(" id %04x frag %04x", p.IP[4:6], p.IP[6:8])
	}
	if p.Proto == TCP && len(p.Transport) >= 20 {
		text += fmt.Sprintf(" flags %02x seq %x ack %x", p.Transport[13], p.Transport[4:8], p.Transport[8:12])
	}
	if p.VLAN != 0 {
		text += fmt.Sprintf(" vlan %d", p.VLAN)
	}
	if inner, vni := p.Inner(); inner != nil {
		text += fmt.Sprintf(" [vni %d: %s]", vni, Parse(inner))
	}
	return text
}
