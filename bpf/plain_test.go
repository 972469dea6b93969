// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// plainEchoes are echoes as the first look takes them from a packet, by the Ethernet type.
func plainEchoes(t *testing.T) map[layers.EthernetType][]byte {
	t.Helper()
	ip4 := &layers.IPv4{
		Version: 4, TTL: 61, Protocol: layers.IPProtocolICMPv4,
		SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{203, 0, 113, 8},
	}
	ip6 := &layers.IPv6{
		Version: 6, HopLimit: 61, NextHeader: layers.IPProtocolICMPv6,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8:1::2"),
	}
	message := func(kind byte) gopacket.Payload {
		payload := bytes.Repeat([]byte{0xa1, 0x5b, 0x3c}, 8)
		return append([]byte{kind, 0, 0xab, 0xcd, 0x12, 0x34, 0x56, 0x78}, payload...)
	}
	packet := func(headers ...gopacket.SerializableLayer) []byte {
		buf := gopacket.NewSerializeBuffer()
		must(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, headers...))
		return buf.Bytes()
	}
	return map[layers.EthernetType][]byte{
		layers.EthernetTypeIPv4: packet(ip4, message(layers.ICMPv4TypeEchoRequest)),
		layers.EthernetTypeIPv6: packet(ip6, message(layers.ICMPv6TypeEchoRequest)),
	}
}

// What the first look takes for an echo is one to the parser, and the same (which try compares): with
// each bit of the headers and what is kept of the payload turned, each length in the IP header, and cut off
// after each byte.
func TestPlainIsParsed(t *testing.T) {
	p := newParser(t)
	for kind, packet := range plainEchoes(t) {
		n := 0
		try := func(packet []byte, linear int) {
			trial := p.try(t, kind, packet, linear)
			n += one(trial.plain())
		}
		for bit := range 8 * len(packet) {
			changed := bytes.Clone(packet)
			changed[bit/8] ^= 1 << (bit % 8)
			try(changed, len(packet))
		}
		for value := range 256 {
			for _, at := range []int{0, 3, 5, 6, 9, 20, 21, 40, 41} { // lengths, protocols, types, codes
				changed := bytes.Clone(packet)
				changed[at] = byte(value)
				try(changed, len(packet))
			}
		}
		for linear := range packet {
			try(packet, linear)
		}
		if n == 0 && loadsCheaply(t) {
			t.Errorf("no packet of type %#x was an echo at the first look, so nothing was compared", kind)
		}
	}
}
