// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// crafted is a packet that is built from the echo outwards, and what is to be seen of it.
type crafted struct {
	t       *rapid.T
	bytes   []byte
	padding int  // bytes behind the echo, up to Ethernet's minimum
	v6      bool // of the outermost IP header
	quoted  bool // by an ICMP error
	want    event.Event
}

// wrap puts headers around the packet, the outermost first.
func (c *crafted) wrap(headers ...gopacket.SerializableLayer) {
	c.t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true}
	if err := gopacket.SerializeLayers(buf, opts, append(headers, gopacket.Payload(c.bytes))...); err != nil {
		c.t.Fatal(err)
	}
	c.bytes = append([]byte(nil), buf.Bytes()...)
}

// tunnel notes a tunnel around what is there.
func (c *crafted) tunnel(tunnel event.Tunnel) {
	if !c.quoted {
		c.want.Tunnels[1] = c.want.Tunnels[0]
	}
	*c.outermost() = tunnel
	c.want.Depth++
}

// outermost is what the last tunnel was noted as. An ICMP error stays the first.
func (c *crafted) outermost() *event.Tunnel {
	if c.quoted {
		return &c.want.Tunnels[1]
	}
	return &c.want.Tunnels[0]
}

func drawAddress(t *rapid.T, v6 bool, name string) netip.Addr {
	if !v6 {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name)))
	}
	// Not IPv4-mapped, which netip would take for IPv4.
	return netip.AddrFrom16([16]byte(append([]byte{0x20, 0x01}, rapid.SliceOfN(rapid.Byte(), 14, 14).Draw(t, name)...)))
}

// ip puts an IP header around, with options or extension headers, and returns its addresses.
func (c *crafted) ip(proto layers.IPProtocol, extra bool) (src, dst netip.Addr, ttl uint8) {
	v6 := rapid.Bool().Draw(c.t, "v6")
	if icmp6 := proto == layers.IPProtocolICMPv6; icmp6 || proto == layers.IPProtocolICMPv4 {
		v6 = icmp6
	}
	src, dst = drawAddress(c.t, v6, "src"), drawAddress(c.t, v6, "dst")
	ttl = rapid.Byte().Draw(c.t, "ttl")
	if v6 {
		c.ip6(proto, src, dst, ttl, extra)
	} else {
		c.ip4(proto, src, dst, ttl, extra)
	}
	c.v6 = v6
	return src, dst, ttl
}

func (c *crafted) ip4(proto layers.IPProtocol, src, dst netip.Addr, ttl uint8, extra bool) {
	h := &layers.IPv4{Version: 4, TTL: ttl, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), Flags: layers.IPv4DontFragment}
	if extra && rapid.Bool().Draw(c.t, "options") {
		for range rapid.IntRange(1, 8).Draw(c.t, "words") {
			h.Options = append(h.Options, layers.IPv4Option{OptionType: 1}, layers.IPv4Option{OptionType: 1}, layers.IPv4Option{OptionType: 1}, layers.IPv4Option{OptionType: 1})
		}
	}
	c.wrap(h)
}

// ip6 may put extension headers between, as bytes: next header, length in 8 bytes, padding.
func (c *crafted) ip6(proto layers.IPProtocol, src, dst netip.Addr, ttl uint8, extra bool) {
	if extra && rapid.Bool().Draw(c.t, "extensions") {
		kinds := []layers.IPProtocol{layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Destination, layers.IPProtocolIPv6Routing, layers.IPProtocolAH, layers.IPProtocolIPv6Fragment}
		for _, kind := range rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 2).Draw(c.t, "kinds") {
			header := make([]byte, 8*rapid.IntRange(1, 3).Draw(c.t, "size"))
			header[0], header[1] = byte(proto), byte(len(header)/8-1)
			switch kind {
			case layers.IPProtocolAH:
				header[1] = byte(len(header)/4 - 2)
			case layers.IPProtocolIPv6Fragment: // of a packet that is whole
				header = header[:8]
				header[1] = 0
			default:
				header[2] = 2 // not segment routing
			}
			c.wrap(gopacket.Payload(header))
			proto = kind
		}
	}
	c.wrap(&layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()})
}

// echo begins a packet.
func echo(t *rapid.T) *crafted {
	c := &crafted{t: t}
	v6, reply := rapid.Bool().Draw(t, "echo is v6"), rapid.Bool().Draw(t, "reply")
	payload := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "payload")
	id, seq := rapid.Uint16().Draw(t, "id"), rapid.Uint16().Draw(t, "seq")
	message := make([]byte, 8)
	message[0] = map[[2]bool]byte{{false, false}: 8, {false, true}: 0, {true, false}: 128, {true, true}: 129}[[2]bool{v6, reply}]
	binary.BigEndian.PutUint16(message[4:], id)
	binary.BigEndian.PutUint16(message[6:], seq)
	c.bytes = slices.Concat(message, payload)
	proto := layers.IPProtocolICMPv4
	c.want = event.Event{ID: id, Seq: seq, PayloadLen: uint16(len(payload)), Type: event.EchoRequest}
	copy(c.want.Payload[:], payload)
	if reply {
		c.want.Type = event.EchoReply
	}
	if v6 {
		proto, c.want.Flags = layers.IPProtocolICMPv6, event.IPv6
	}
	src, dst, ttl := c.ip(proto, true)
	c.want.Src, c.want.Dst, c.want.TTL = event.AddressFrom(src), event.AddressFrom(dst), ttl
	return c
}

// fail puts an ICMP error around, which quotes the packet up to some byte of the payload.
func (c *crafted) fail() {
	c.bytes = c.bytes[:len(c.bytes)-c.padding]
	c.padding = 0
	lost := rapid.IntRange(0, int(c.want.PayloadLen)).Draw(c.t, "not quoted")
	c.bytes = c.bytes[:len(c.bytes)-lost]
	clear(c.want.Payload[min(int(c.want.PayloadLen)-lost, len(c.want.Payload)):])
	kinds, proto := []byte{3, 11, 12}, layers.IPProtocolICMPv4
	if c.v6 {
		kinds, proto = []byte{1, 2, 3, 4}, layers.IPProtocolICMPv6
	}
	kind, code := rapid.SampledFrom(kinds).Draw(c.t, "error"), rapid.Byte().Draw(c.t, "code")
	c.wrap(gopacket.Payload{kind, code, 0, 0, 0, 0, 5, 0})
	c.outer(proto, event.Tunnel{ID: uint32(kind)<<8 | uint32(code), Type: event.ICMPError})
	c.want.Type += event.RequestError - event.EchoRequest
	c.quoted = true
}

func (c *crafted) ethertype() layers.EthernetType {
	if c.v6 {
		return layers.EthernetTypeIPv6
	}
	return layers.EthernetTypeIPv4
}

// link puts around what may be between Ethernet and IP, and returns the type of it.
func (c *crafted) link() layers.EthernetType {
	kind := c.ethertype()
	switch rapid.SampledFrom([]string{"none", "none", "mpls", "pppoe"}).Draw(c.t, "link") {
	case "mpls":
		kind = c.mpls()
	case "pppoe":
		ppp, session := layers.PPPTypeIPv4, rapid.Uint16().Draw(c.t, "session")
		if c.v6 {
			ppp = layers.PPPTypeIPv6
		}
		c.wrap(&layers.PPPoE{Version: 1, Type: 1, SessionId: session}, &layers.PPP{PPPType: ppp, HasPPTPHeader: false})
		c.tunnel(event.Tunnel{ID: uint32(session), Type: event.PPPoE})
		kind = layers.EthernetTypePPPoESession
	}
	tags := []layers.EthernetType{layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, 0x9100}
	for _, tag := range rapid.SliceOfN(rapid.SampledFrom(tags), 0, 2).Draw(c.t, "tags") {
		c.wrap(&layers.Dot1Q{VLANIdentifier: rapid.Uint16Range(0, 4095).Draw(c.t, "vlan"), Priority: rapid.Uint8Range(0, 7).Draw(c.t, "priority"), Type: kind})
		kind = tag
	}
	return kind
}

func (c *crafted) mpls() layers.EthernetType {
	var label uint32
	for i := range rapid.IntRange(1, 2).Draw(c.t, "labels") {
		label = rapid.Uint32Max(1<<20-1).Draw(c.t, "label")
		c.wrap(&layers.MPLS{Label: label, StackBottom: i == 0, TTL: 64})
	}
	c.tunnel(event.Tunnel{ID: label, Type: event.MPLS})
	return layers.EthernetTypeMPLSUnicast
}

// frame puts an Ethernet header around, and perhaps something between.
func (c *crafted) frame() {
	kind := c.link()
	unpadded := len(c.bytes) + 14
	c.wrap(&layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: kind})
	c.padding += len(c.bytes) - unpadded
}

// outer puts IP around, whose addresses are the tunnel's.
func (c *crafted) outer(proto layers.IPProtocol, tunnel event.Tunnel) {
	src, dst, _ := c.ip(proto, true)
	tunnel.Src, tunnel.Dst = event.AddressFrom(src), event.AddressFrom(dst)
	c.tunnel(tunnel)
}

// udp puts UDP to a port around.
func (c *crafted) udp(port uint16, tunnel event.Tunnel) {
	c.wrap(&layers.UDP{SrcPort: 50000, DstPort: layers.UDPPort(port)})
	c.outer(layers.IPProtocolUDP, tunnel)
}

// check compares what the parser says.
func (c *crafted) check(got event.Event, found bool, when string) {
	c.t.Helper()
	if !found {
		c.t.Fatalf("%s: not found in % x", when, c.bytes)
	}
	if got != c.want {
		c.t.Fatalf("%s:\n got %+v\nwant %+v\nin % x", when, got, c.want, c.bytes)
	}
}
