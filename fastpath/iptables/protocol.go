// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// protocolNumbers are the names that -p takes: iptables' own, and those of /etc/protocols.
var protocolNumbers = map[string]uint8{
	"all": 0, "ip": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9,
	"pup": 12, "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36,
	"ddp": 37, "idpr-cmtp": 38, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46,
	"gre": 47, "esp": 50, "ipsec-esp": 50, "ah": 51, "ipsec-ah": 51, "skip": 57, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59,
	"ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88, "ospf": 89, "ospfigp": 89, "ax.25": 93, "ipip": 94, "etherip": 97,
	"encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133,
	"mobility-header": 135, "ipv6-mh": 135, "mh": 135, "udplite": 136, "mpls-in-ip": 137, "manet": 138, "hip": 139,
	"shim6": 140, "wesp": 141, "rohc": 142,
}

// printedProtocols are the numbers that are printed as names: those of which iptables knows the name
// on a host without /etc/protocols.
var printedProtocols = map[uint8]string{
	1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 58: "ipv6-icmp", 132: "sctp", 136: "udplite",
}

func (p *parser) protocol(at int, text string, not bool) (Protocol, error) {
	number, known := protocolNumbers[strings.ToLower(text)]
	if !known {
		n, err := strconv.ParseUint(text, 0, 8)
		if err != nil {
			return Protocol{}, p.errorAt(at, "unknown protocol `"+text+"' specified",
				didYouMean(text, slices.Collect(maps.Keys(protocolNumbers)), "give its number"))
		}
		number = uint8(n)
	}
	if number == 0 && not {
		return Protocol{}, p.errorAt(at, "rule would never match protocol", "leave out the !")
	}
	return Protocol{Not: not, Number: number}, nil
}

// text returns the protocol as iptables-save prints it.
func (p Protocol) text() string {
	if name := printedProtocols[p.Number]; name != "" {
		return name
	}
	return strconv.Itoa(int(p.Number))
}

// protocolMatch returns the match that iptables loads for options of a protocol, or "".
func protocolMatch(f header.Family, p Protocol) string {
	if p.Not {
		return ""
	}
	switch p.Number {
	case header.ICMP:
		if f == header.V4 {
			return "icmp"
		}
	case header.ICMPv6:
		if f == header.V6 {
			return "icmp6"
		}
	case header.TCP:
		return "tcp"
	case header.UDP:
		return "udp"
	case header.SCTP:
		return "sctp"
	case header.DCCP:
		return "dccp"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case 108:
		return "ipcomp"
	case 135:
		return "mh"
	}
	return ""
}
