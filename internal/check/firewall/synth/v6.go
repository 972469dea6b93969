// SPDX-License-Identifier: Apache-2.0

package synth

import (
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// V6 returns the rules with IPv6 addresses of the same structure, below 2001:db8::/32: the first
// 24 bits choose a subnet, and the last eight a host of it.
func (r *Rules) V6() *Rules {
	six := &Rules{Family: header.V6, Policy: r.Policy}
	for _, rule := range r.List {
		rule.Source, rule.Destination = prefix6(rule.Source), prefix6(rule.Destination)
		if rule.Proto == header.ICMP {
			rule.Proto = header.ICMPv6
		}
		six.List = append(six.List, rule)
	}
	return six
}

func prefix6(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	bits := p.Bits()
	switch {
	case bits <= 24:
		bits += 32
	default:
		bits += 96
	}
	return netip.PrefixFrom(address6(p.Addr()), bits)
}

func address6(a netip.Addr) netip.Addr {
	four := a.As4()
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 4: four[0], 5: four[1], 6: four[2], 15: four[3]})
}
