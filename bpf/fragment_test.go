// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// fragment makes the packet's ICMP message one of several fragments, of which this is the
// first or another one, and puts IP around.
func (c *crafted) fragment(v6, first bool) {
	src, dst := drawAddress(c.t, v6, "src"), drawAddress(c.t, v6, "dst")
	offset := uint16(0)
	if !first {
		offset = rapid.Uint16Range(1, 8191).Draw(c.t, "offset")
	}
	if v6 {
		header := []byte{byte(layers.IPProtocolICMPv6), 0, 0, 0, 1, 2, 3, 4}
		binary.BigEndian.PutUint16(header[2:], offset<<3|1)
		c.bytes = append(header, c.bytes...)
		c.ip6(layers.IPProtocolIPv6Fragment, src, dst, 64, false)
	} else {
		c.wrap(&layers.IPv4{
			Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
			Flags: layers.IPv4MoreFragments, FragOffset: offset, Id: 7,
		})
	}
	c.v6 = v6
	c.want = event.Event{Type: event.EchoRequest, Src: event.AddressFrom(src), Dst: event.AddressFrom(dst), TTL: 64, Flags: event.FirstFragment}
	if v6 {
		c.want.Flags |= event.IPv6
	}
}

// A fragment is told from the whole, bare and in tunnels: the first as the echo that it is,
// another one, however short, as one of which nothing else is known.
func TestFragmentsAreTold(t *testing.T) {
	p := newParser(t)
	rapid.Check(t, func(t *rapid.T) {
		c := &crafted{t: t}
		v6, first := rapid.Bool().Draw(t, "v6"), rapid.Bool().Draw(t, "first")
		payload := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "payload")
		c.bytes = payload
		if first {
			c.bytes = append([]byte{map[bool]byte{false: 8, true: 128}[v6], 0, 0, 0, 0, 1, 0, 2}, payload...)
		}
		c.fragment(v6, first)
		if first {
			c.want.ID, c.want.Seq, c.want.PayloadLen = 1, 2, uint16(len(payload))
			copy(c.want.Payload[:], payload)
		} else {
			c.want.Flags ^= event.FirstFragment | event.LaterFragment
		}
		c.encapsulate(1)
		got, found := p.parse(t, c.ethertype(), c.bytes, len(c.bytes))
		c.check(got, found, "fragment")
	})
}
