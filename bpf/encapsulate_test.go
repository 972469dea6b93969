// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
)

// The ports of the tests that have none of IANA's.
const (
	fouIPPort  = 5555
	fouGREPort = 5556
	guePort    = 5557
)

// encapsulations are the ways to put one packet into another.
var encapsulations = map[string]func(*crafted){
	"ip": func(c *crafted) {
		proto, inner4 := layers.IPProtocolIPv6, !c.v6
		if inner4 {
			proto = layers.IPProtocolIPv4
		}
		c.outer(proto, event.Tunnel{Type: event.IP6Tunnel})
		if !c.v6 {
			c.outermost().Type = event.SIT
			if inner4 {
				c.outermost().Type = event.IPIP
			}
		}
	},
	"gre":    func(c *crafted) { c.gre(c.ethertype(), event.GRE) },
	"mpls":   func(c *crafted) { c.gre(c.mpls(), event.GRE) },
	"gretap": func(c *crafted) { c.frame(); c.gre(layers.EthernetTypeTransparentEthernetBridging, event.GRETAP) },
	"erspan1": func(c *crafted) {
		c.frame()
		c.wrap(&layers.GRE{Protocol: layers.EthernetTypeERSPAN})
		c.outer(layers.IPProtocolGRE, event.Tunnel{Type: event.ERSPAN})
	},
	"erspan2": func(c *crafted) {
		c.frame()
		session := rapid.Uint16Max(1023).Draw(c.t, "session")
		c.wrap(&layers.GRE{Protocol: layers.EthernetTypeERSPAN, SeqPresent: true, Seq: 1}, &layers.ERSPANII{Version: 1, SessionID: session, CoS: 7})
		c.outer(layers.IPProtocolGRE, event.Tunnel{ID: uint32(session), Type: event.ERSPAN})
	},
	"erspan3": func(c *crafted) {
		c.frame()
		session := rapid.Uint16Max(1023).Draw(c.t, "session")
		header := make([]byte, 12, 20)
		binary.BigEndian.PutUint16(header, 0x2fff)
		binary.BigEndian.PutUint16(header[2:], 0xfc00|session)
		if rapid.Bool().Draw(c.t, "more") {
			header[11], header = 1, header[:20]
		}
		c.wrap(&layers.GRE{Protocol: 0x22eb, SeqPresent: true, Seq: 1}, gopacket.Payload(header))
		c.outer(layers.IPProtocolGRE, event.Tunnel{ID: uint32(session), Type: event.ERSPAN})
	},
	"vxlan": func(c *crafted) {
		c.frame()
		vni := drawVNI(c)
		group := rapid.Bool().Draw(c.t, "group")
		c.wrap(&layers.VXLAN{ValidIDFlag: true, VNI: vni, GBPExtension: group, GBPApplied: group, GBPGroupPolicyID: 0x1234})
		c.udp(rapid.SampledFrom([]uint16{VXLANPort, LegacyVXLANPort}).Draw(c.t, "port"), event.Tunnel{ID: vni, Type: event.VXLAN})
	},
	"vxlan-gpe": func(c *crafted) {
		protocol := byte(1)
		switch rapid.SampledFrom([]string{"ip", "ethernet", "mpls"}).Draw(c.t, "inside") {
		case "ethernet":
			c.frame()
			protocol = 3
		case "mpls":
			c.mpls()
			protocol = 5
		default:
			if c.v6 {
				protocol = 2
			}
		}
		vni := drawVNI(c)
		header := []byte{0x0c, 0, 0, protocol, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
		c.wrap(gopacket.Payload(header))
		c.udp(VXLANGPEPort, event.Tunnel{ID: vni, Type: event.VXLANGPE})
	},
	"geneve": func(c *crafted) {
		kind := c.ethertype()
		if rapid.Bool().Draw(c.t, "ethernet") {
			c.frame()
			kind = layers.EthernetTypeTransparentEthernetBridging
		}
		g := &layers.Geneve{Protocol: kind, VNI: drawVNI(c), CriticalOption: true}
		for _, words := range rapid.SliceOfN(rapid.IntRange(0, 20), 0, 3).Draw(c.t, "options") {
			g.Options = append(g.Options, &layers.GeneveOption{Class: 0x102, Type: 0x80, Length: uint8(4 * words), Data: make([]byte, 4*words)})
		}
		c.wrap(g)
		c.udp(GenevePort, event.Tunnel{ID: g.VNI, Type: event.Geneve})
	},
	"fou": func(c *crafted) { c.udp(fouIPPort, event.Tunnel{Type: event.FOU}) },
	"fou-gre": func(c *crafted) {
		id := c.greHeader(c.ethertype())
		c.wrap(&layers.UDP{SrcPort: 50000, DstPort: fouGREPort})
		c.outer(layers.IPProtocolUDP, event.Tunnel{ID: id, Type: event.GRE})
		c.tunnel(event.Tunnel{Src: c.outermost().Src, Dst: c.outermost().Dst, Type: event.FOU})
	},
	"gue": func(c *crafted) {
		proto := byte(layers.IPProtocolIPv4)
		if c.v6 {
			proto = byte(layers.IPProtocolIPv6)
		}
		c.wrap(gopacket.Payload{1, proto, 0, 0, 1, 2, 3, 4}) // with one word of extensions
		c.udp(guePort, event.Tunnel{Type: event.FOU})
	},
	"srv6": func(c *crafted) {
		next := byte(layers.IPProtocolIPv4)
		if c.v6 {
			next = byte(layers.IPProtocolIPv6)
		}
		if rapid.Bool().Draw(c.t, "ethernet") {
			c.frame()
			next = 143
		}
		header := make([]byte, 8+16*2) // RFC 8754: two segments
		header[0], header[1], header[2], header[3] = next, byte(len(header)/8-1), 4, rapid.ByteMax(1).Draw(c.t, "left")
		c.wrap(gopacket.Payload(header))
		src, dst := drawAddress(c.t, true, "src"), drawAddress(c.t, true, "dst")
		c.ip6(layers.IPProtocolIPv6Routing, src, dst, 64, false)
		c.v6 = true
		c.tunnel(event.Tunnel{Src: event.AddressFrom(src), Dst: event.AddressFrom(dst), ID: uint32(header[3]), Type: event.SRv6})
	},
}

func drawVNI(c *crafted) uint32 { return rapid.Uint32Max(1<<24-1).Draw(c.t, "vni") }

// greHeader puts a GRE header around, with any of its options, and returns its key.
func (c *crafted) greHeader(kind layers.EthernetType) (key uint32) {
	g := &layers.GRE{
		Protocol: kind, ChecksumPresent: rapid.Bool().Draw(c.t, "checksum"),
		KeyPresent: rapid.Bool().Draw(c.t, "key"), SeqPresent: rapid.Bool().Draw(c.t, "sequence"), Seq: 7,
	}
	if g.KeyPresent {
		g.Key = rapid.Uint32().Draw(c.t, "gre key")
	}
	c.wrap(g)
	return g.Key
}

func (c *crafted) gre(kind layers.EthernetType, what event.TunnelType) {
	c.outer(layers.IPProtocolGRE, event.Tunnel{ID: c.greHeader(kind), Type: what})
}

// encapsulate puts the packet into at most so many others.
func (c *crafted) encapsulate(most int) {
	names := slices.Sorted(maps.Keys(encapsulations))
	for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, most).Draw(c.t, "tunnels") {
		encapsulations[name](c)
	}
}

// encapsulateIn puts the packet into at most two others of some kinds.
func (c *crafted) encapsulateIn(names ...string) {
	for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 2).Draw(c.t, "tunnels") {
		encapsulations[name](c)
	}
}
