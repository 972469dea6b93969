// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/dwelltrace/dwell/correlate/event"
)

// otherVersion is the type of the IP that the packet does not have.
func (c *crafted) otherVersion() layers.EthernetType {
	if c.v6 {
		return layers.EthernetTypeIPv4
	}
	return layers.EthernetTypeIPv6
}

// notQuoting puts an ICMP message around that quotes the echo and is not about its loss.
func (c *crafted) notQuoting(kind byte) layers.EthernetType {
	c.wrap(gopacket.Payload{kind, 0, 0, 0, 0, 0, 0, 0})
	c.outer(layers.IPProtocolICMPv4, event.Tunnel{})
	return c.ethertype()
}

func (c *crafted) inUDP(port uint16, header ...gopacket.SerializableLayer) layers.EthernetType {
	c.wrap(header...)
	c.udp(port, event.Tunnel{})
	return c.ethertype()
}

func (c *crafted) inGRE(header ...gopacket.SerializableLayer) layers.EthernetType {
	c.wrap(header...)
	c.outer(layers.IPProtocolGRE, event.Tunnel{})
	return c.ethertype()
}

// inPPPoE puts a header of a session around, with one field wrong.
func (c *crafted) inPPPoE(version byte, code layers.PPPoECode, ppp layers.PPPType) layers.EthernetType {
	c.wrap(&layers.PPPoE{Version: version, Type: 1, Code: code, SessionId: 1}, &layers.PPP{PPPType: ppp})
	return layers.EthernetTypePPPoESession
}

// invalid are ways to put an echo where it is not to be found. They return the Ethernet type
// of the packet.
var invalid = map[string]func(*crafted) layers.EthernetType{
	"Geneve of another version": func(c *crafted) layers.EthernetType {
		return c.inUDP(GenevePort, &layers.Geneve{Version: 1, Protocol: c.ethertype()})
	},
	"VXLAN without a VNI": func(c *crafted) layers.EthernetType {
		c.frame()
		return c.inUDP(VXLANPort, &layers.VXLAN{})
	},
	"VXLAN on a port of nobody": func(c *crafted) layers.EthernetType {
		c.frame()
		return c.inUDP(6784, &layers.VXLAN{ValidIDFlag: true})
	},
	"VXLAN-GPE with NSH": func(c *crafted) layers.EthernetType {
		return c.inUDP(VXLANGPEPort, gopacket.Payload{0x0c, 0, 0, 4, 0, 0, 0, 0})
	},
	"GUE with a control message": func(c *crafted) layers.EthernetType {
		return c.inUDP(guePort, gopacket.Payload{0, 1, 0, 0})
	},
	"GRE of PPTP": func(c *crafted) layers.EthernetType {
		return c.inGRE(&layers.GRE{Version: 1, Protocol: c.ethertype()})
	},
	"GRE with source routing": func(c *crafted) layers.EthernetType {
		kind := c.ethertype()
		return c.inGRE(gopacket.Payload{0x40, 0, byte(kind >> 8), byte(kind)})
	},
	"GRE with the other version": func(c *crafted) layers.EthernetType {
		return c.inGRE(&layers.GRE{Protocol: c.otherVersion()})
	},
	"GRE with ARP": func(c *crafted) layers.EthernetType {
		return c.inGRE(&layers.GRE{Protocol: layers.EthernetTypeARP})
	},
	"PPPoE of another version": func(c *crafted) layers.EthernetType {
		return c.inPPPoE(2, 0, map[bool]layers.PPPType{false: layers.PPPTypeIPv4, true: layers.PPPTypeIPv6}[c.v6])
	},
	"PPPoE discovery": func(c *crafted) layers.EthernetType {
		return c.inPPPoE(1, layers.PPPoECodePADI, map[bool]layers.PPPType{false: layers.PPPTypeIPv4, true: layers.PPPTypeIPv6}[c.v6])
	},
	"PPP's own protocol": func(c *crafted) layers.EthernetType { return c.inPPPoE(1, 0, 0xc021) },
	"a length for a type": func(c *crafted) layers.EthernetType {
		c.wrap(&layers.Dot1Q{Type: 0x100}) // what the parser itself calls IP of either version
		return layers.EthernetTypeDot1Q
	},
	"source quench": func(c *crafted) layers.EthernetType { return c.notQuoting(4) },
	"redirect":      func(c *crafted) layers.EthernetType { return c.notQuoting(5) },
	"an error about an error": func(c *crafted) layers.EthernetType {
		c.fail()
		c.fail()
		return c.ethertype()
	},
}
