// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// maxAddresses is how many rules one command may make by lists of addresses.
const maxAddresses = 1024

// addresses reads what follows -s and -d.
func (p *parser) addresses(at int, text string, not bool) ([]Address, error) {
	parts := strings.Split(text, ",")
	if not && len(parts) > 1 {
		return nil, p.errorAt(at, "! not allowed with multiple source or destination IP addresses", "give one rule for each address")
	}
	var all []Address
	for _, part := range parts {
		a, err := parseAddress(p.family, part)
		if err != nil {
			return nil, p.errorAt(at, err.Error(), "write an address such as "+example(p.family))
		}
		a.Not = not
		all = append(all, a)
	}
	return all, nil
}

func example(f header.Family) string {
	if f == header.V6 {
		return "2001:db8::1 or 2001:db8::/32"
	}
	return "192.0.2.1 or 192.0.2.0/24"
}

// parseAddress reads an address with an optional mask. Names are not resolved, because what
// they stand for may change.
func parseAddress(f header.Family, text string) (Address, error) {
	host, maskText, hasMask := strings.Cut(text, "/")
	a := Address{Mask: fullMask(f)}
	if hasMask {
		var err error
		if a.Mask, err = parseMask(f, maskText); err != nil {
			return a, err
		}
	}
	if a.Mask.IsUnspecified() { // iptables does not read the address then, as in any/0
		a.Addr = a.Mask
		return a, nil
	}
	var err error
	if a.Addr, err = parseHost(f, host); err != nil {
		return a, err
	}
	a.Addr = masked(a.Addr, a.Mask)
	return a, nil
}

func parseHost(f header.Family, host string) (netip.Addr, error) {
	if f == header.V4 {
		if a, is := dotted(host, true); is {
			return a, nil
		}
		return netip.Addr{}, fmt.Errorf("`%s' is not an IPv4 address", host)
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is4() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("`%s' is not an IPv6 address", host)
	}
	return a, nil
}

func parseMask(f header.Family, text string) (netip.Addr, error) {
	bits := fullMask(f).BitLen()
	if f == header.V4 {
		if m, is := dotted(text, false); is {
			return m, nil
		}
	} else if m, err := netip.ParseAddr(text); err == nil && m.Is6() && m.Zone() == "" {
		return m, nil
	}
	n, err := strconv.ParseUint(text, 0, 8)
	if err != nil || int(n) > bits {
		return netip.Addr{}, fmt.Errorf("invalid mask `%s' specified", text)
	}
	return prefixMask(f, int(n)), nil
}

// dotted reads an IPv4 address as iptables does: numbers may be octal or hexadecimal, and if
// short is set, bytes may be missing at the end.
func dotted(text string, short bool) (netip.Addr, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 || len(parts) < 4 && !short {
		return netip.Addr{}, false
	}
	var b [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 8)
		if err != nil || strings.ContainsAny(part, "_") {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func fullMask(f header.Family) netip.Addr {
	if f == header.V6 {
		return prefixMask(f, 128)
	}
	return prefixMask(f, 32)
}

func prefixMask(f header.Family, bits int) netip.Addr {
	var b [16]byte
	for i := range bits {
		b[i/8] |= 0x80 >> (i % 8)
	}
	if f == header.V6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

func masked(a, mask netip.Addr) netip.Addr {
	x, m := a.AsSlice(), mask.AsSlice()
	for i := range x {
		x[i] &= m[i]
	}
	out, _ := netip.AddrFromSlice(x)
	return out
}

// prefixBits returns how many bits are set from the first on, or -1 if the mask has holes.
func prefixBits(f header.Family, mask netip.Addr) int {
	for bits := range mask.BitLen() + 1 {
		if prefixMask(f, bits) == mask {
			return bits
		}
	}
	return -1
}

// All reports whether the address does not exclude any.
func (a Address) All() bool { return !a.Not && (!a.Mask.IsValid() || a.Mask.IsUnspecified()) }

// text returns the address and its mask, as iptables-save prints them.
func (a Address) text(f header.Family) string {
	addr := addressText(a.Addr)
	if bits := prefixBits(f, a.Mask); bits >= 0 {
		return addr + "/" + strconv.Itoa(bits)
	}
	return addr + "/" + addressText(a.Mask)
}

// addressText prints an address as inet_ntop does.
func addressText(a netip.Addr) string {
	if b := a.As16(); a.Is6() && !a.Is4In6() {
		high, last := [12]byte(b[:12]), binary.BigEndian.Uint32(b[12:])
		if high == [12]byte{} && last > 0xffff {
			return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
		}
	}
	return a.String()
}
