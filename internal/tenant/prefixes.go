// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"net/netip"
	"slices"
)

// prefixTable finds the tenants to whom an address belongs. An answer takes as many look-ups
// as there are different lengths of prefixes, however many tenants there are.
type prefixTable struct {
	owners map[netip.Prefix][]string // in order
	// lengths are those of IPv4 and of IPv6 prefixes.
	lengths4, lengths6 []int
}

func newPrefixTable(s *Set) prefixTable {
	t := prefixTable{owners: map[netip.Prefix][]string{}}
	for _, id := range s.ids {
		for _, p := range s.tenants[id].Prefixes {
			p = unmapped(p).Masked()
			if owners := t.owners[p]; !slices.Contains(owners, id) {
				t.owners[p] = append(owners, id)
			}
			lengths := t.lengths(p.Addr())
			if !slices.Contains(*lengths, p.Bits()) {
				*lengths = append(*lengths, p.Bits())
			}
		}
	}
	return t
}

// unmapped returns an IPv4 prefix in place of one that is written as IPv6.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func (t *prefixTable) lengths(addr netip.Addr) *[]int {
	if addr.Is4() {
		return &t.lengths4
	}
	return &t.lengths6
}

func (t *prefixTable) foreign(id string, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, bits := range *t.lengths(addr) {
		p, err := addr.Prefix(bits)
		if err != nil {
			return false // the zero Addr
		}
		if slices.ContainsFunc(t.owners[p], func(owner string) bool { return owner != id }) {
			return true
		}
	}
	return false
}
