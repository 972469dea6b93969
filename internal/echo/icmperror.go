// SPDX-License-Identifier: Apache-2.0

package echo

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ICMPError is what a router, a host or this kernel sends in place of a reply, to say that a
// request did not arrive. It is ErrOther, too, for whoever waits for replies only.
type ICMPError struct {
	// At is when it was taken from the socket.
	At time.Time
	// From is who sent it.
	From netip.Addr
	Kind Kind
	// Text says it in words, for example "host unreachable".
	Text string
	// MTU is the size in bytes that the packet may have, 0 if that is not said.
	MTU int
	// Seq and Payload are those of the request that it is about. The payload is as much of it as
	// came back, often not all, and perhaps nothing.
	Seq     uint16
	Payload []byte
}

// Kind says in short why a request did not arrive.
type Kind uint8

// The kinds of errors.
const (
	// Unreachable: there is no way to the target, or none that is allowed.
	Unreachable Kind = 1 + iota
	// TooBig: the packet is larger than a link on the way takes, and may not be fragmented.
	TooBig
	// TimeExceeded: it went through too many routers, or not all its fragments came.
	TimeExceeded
	// BadHeader: somebody did not understand the packet.
	BadHeader
)

// Error says what it was, and who says so.
func (e *ICMPError) Error() string {
	mtu := ""
	if e.MTU > 0 {
		mtu = fmt.Sprintf(" for an MTU of %d bytes", e.MTU)
	}
	return fmt.Sprintf("%s%s, says %s", e.Text, mtu, e.From)
}

// Is makes it one of what is not a reply.
func (e *ICMPError) Is(target error) bool { return target == ErrOther }

// Where fields are, in bytes from the beginning of the header.
const (
	icmpHeader = 8
	ipv6Header = 40
	fragHeader = 8
	echoID     = 4
	echoSeq    = 6
)

// Next headers of IPv6 (IANA).
const nextFragment = 44

// parseError returns the error if it is about a request of this socket.
func (c *Conn) parseError(b []byte, from net.Addr) (*ICMPError, bool) {
	if len(b) < icmpHeader {
		return nil, false
	}
	kind, text := kindOf(c.protocol, b[0], b[1])
	ip, ok := from.(*net.IPAddr)
	if kind == 0 || !ok {
		return nil, false
	}
	e := &ICMPError{Kind: kind, Text: text}
	e.From, _ = netip.AddrFromSlice(ip.IP)
	e.From = e.From.Unmap()
	words, target := int(b[5])*4, c.dst.IP.To4() // of RFC 4884: how long the quoted packet is
	quoted := quotedIPv4
	switch {
	case c.protocol == protocolICMPv6:
		words, target, quoted = int(b[4])*8, c.dst.IP, quotedIPv6
		if kind == TooBig {
			words, e.MTU = 0, int(binary.BigEndian.Uint32(b[4:]))
		}
	case kind == TooBig:
		words, e.MTU = 0, int(binary.BigEndian.Uint16(b[6:]))
	}
	packet := b[icmpHeader:]
	if words > 0 && words < len(packet) {
		packet = packet[:words]
	}
	dst, echo := quoted(packet)
	if !net.IP(dst).Equal(target) || len(echo) < icmpHeader || int(echo[0]) != typeOf(c.request) || binary.BigEndian.Uint16(echo[echoID:]) != c.id {
		return nil, false
	}
	e.Seq = binary.BigEndian.Uint16(echo[echoSeq:])
	e.Payload = append([]byte(nil), echo[icmpHeader:]...)
	return e, true
}

// quotedIPv4 returns the destination of a packet, and the ICMP message in it, as far as it is
// there. Both are nil if there is none.
func quotedIPv4(b []byte) (dst, echo []byte) {
	if len(b) < ipv4.HeaderLen {
		return nil, nil
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	first := binary.BigEndian.Uint16(b[6:])&0x1fff == 0
	if header < ipv4.HeaderLen || header > len(b) || b[9] != protocolICMP || !first {
		return nil, nil
	}
	if total >= header && total < len(b) {
		b = b[:total] // what follows is padding
	}
	return b[16:20], b[header:]
}

// quotedIPv6 is quotedIPv4 for IPv6. Of extension headers it knows that of fragments, because the
// kernel sends no others with an echo.
func quotedIPv6(b []byte) (dst, echo []byte) {
	if len(b) < ipv6Header {
		return nil, nil
	}
	if end := ipv6Header + int(binary.BigEndian.Uint16(b[4:])); end < len(b) {
		b = b[:end]
	}
	next, header := b[6], ipv6Header
	if next == nextFragment {
		if len(b) < ipv6Header+fragHeader || binary.BigEndian.Uint16(b[ipv6Header+2:])>>3 != 0 {
			return nil, nil
		}
		next, header = b[ipv6Header], ipv6Header+fragHeader
	}
	if next != protocolICMPv6 {
		return nil, nil
	}
	return b[24:40], b[header:]
}

// kindOf says what a type and a code of ICMP or ICMPv6 mean; 0 is no error.
func kindOf(protocol int, typ, code byte) (Kind, string) {
	if protocol == protocolICMPv6 {
		return kindOfIPv6(ipv6.ICMPType(typ), code)
	}
	switch ipv4.ICMPType(typ) {
	case ipv4.ICMPTypeDestinationUnreachable:
		if code == 4 {
			return TooBig, "packet too big"
		}
		return Unreachable, worded(unreachable4, code)
	case ipv4.ICMPTypeTimeExceeded:
		return TimeExceeded, worded([]string{"time to live exceeded", "not all fragments came"}, code)
	case ipv4.ICMPTypeParameterProblem:
		return BadHeader, "header not understood"
	}
	return 0, ""
}

func kindOfIPv6(typ ipv6.ICMPType, code byte) (Kind, string) {
	switch typ {
	case ipv6.ICMPTypeDestinationUnreachable:
		return Unreachable, worded(unreachable6, code)
	case ipv6.ICMPTypePacketTooBig:
		return TooBig, "packet too big"
	case ipv6.ICMPTypeTimeExceeded:
		return TimeExceeded, worded([]string{"hop limit exceeded", "not all fragments came"}, code)
	case ipv6.ICMPTypeParameterProblem:
		return BadHeader, "header not understood"
	}
	return 0, ""
}

const prohibited = "administratively prohibited"

// The codes of "destination unreachable" (IANA).
var (
	unreachable4 = []string{
		"network unreachable", "host unreachable", "protocol unreachable", "port unreachable", "packet too big", "source route failed",
		"network unknown", "host unknown", "host isolated", prohibited, prohibited, "network unreachable", "host unreachable", prohibited,
		"precedence violated", "precedence too low",
	}
	unreachable6 = []string{
		"no route", prohibited, "beyond the scope of the source", "address unreachable", "port unreachable", "source address not allowed",
		"route rejected",
	}
)

func worded(words []string, code byte) string {
	if int(code) < len(words) {
		return words[code]
	}
	return fmt.Sprintf("unreachable (code %d)", code)
}
