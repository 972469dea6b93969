// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// What iptables of nf_tables keeps as matches and targets of the old kind is in the structures of
// linux/netfilter/xt_*.h, in the machine's byte order.

// compatMatch reads a match.
func (r *nftReader) compatMatch(name string, info []byte) {
	r.ofMatch(name)
	switch name {
	case "mark", "connmark": // struct xt_mark_mtinfo1: mark, mask
		if len(info) >= 8 {
			r.uses(binary.NativeEndian.Uint32(info), binary.NativeEndian.Uint32(info[4:]))
		}
	case "addrtype": // struct xt_addrtype_info_v1: source, dest, flags
		const invertDest = 2
		if len(info) >= 8 && binary.NativeEndian.Uint16(info[2:]) == 1<<addrLocal && binary.NativeEndian.Uint32(info[4:])&invertDest == 0 {
			r.conds = append(r.conds, func(v *view) []header.Box { return v.local })
		}
	case "tcp": // struct xt_tcp: spts[2], dpts[2], option, flg_mask, flg_cmp, invflags
		if len(info) >= 12 && info[11] == 0 {
			r.compatPorts(header.TCP, info)
		}
	case "udp": // struct xt_udp: spts[2], dpts[2], invflags
		if len(info) >= 9 && info[8] == 0 {
			r.compatPorts(header.UDP, info)
		}
	}
}

// compatPorts reads ranges of ports.
func (r *nftReader) compatPorts(protocol uint32, info []byte) {
	var b header.Box
	b[header.Proto] = header.Values(protocol)
	b[header.Sport] = header.Range(uint32(binary.NativeEndian.Uint16(info)), uint32(binary.NativeEndian.Uint16(info[2:])))
	b[header.Dport] = header.Range(uint32(binary.NativeEndian.Uint16(info[4:])), uint32(binary.NativeEndian.Uint16(info[6:])))
	r.conds = append(r.conds, func(*view) []header.Box { return []header.Box{b} })
}

// compatTarget reads a target.
func (r *nftReader) compatTarget(name string, revision uint32, info []byte) {
	if name != "CT" {
		r.ofTarget(name)
	}
	word := func(n int) uint32 {
		if len(info) < 4*n+4 {
			return ^uint32(0)
		}
		return binary.NativeEndian.Uint32(info[4*n:])
	}
	switch name {
	case "MARK", "CONNMARK": // mark, mask; and for restoring, the mask of the packet's mark
		const restores = 2
		if name == "CONNMARK" && len(info) > 12 && info[12] == restores {
			r.uses(0, word(2))
		} else {
			r.sets(word(0), word(1))
		}
	case "HMARK":
		r.bits = ^uint32(0)
	case "TPROXY": // mark_mask, mark_value
		r.sets(word(1), word(0))
	case "MASQUERADE":
		r.sources = append(r.sources, sources{local: true})
	case "SNAT", "NETMAP":
		r.sources = append(r.sources, compatRange(r.family, revision, info)...)
	case "CT":
		r.compatCT(info)
	}
}

// compatCT reads struct xt_ct_target_info: flags, zone, events, expected events, helper.
func (r *nftReader) compatCT(info []byte) {
	const noTrack, zoneOfMark, helper = 1 << 0, 1 << 4, 12
	if len(info) < helper+16 {
		r.does(seen, "has CT, which is not understood")
		return
	}
	r.helps = r.helps || info[helper] != 0
	flags := binary.NativeEndian.Uint16(info)
	if slices.ContainsFunc(info[4:helper+16], func(b byte) bool { return b != 0 }) {
		r.does(seen, "has CT with more than a zone")
	}
	if flags&noTrack != 0 {
		r.does(seen, "has CT --notrack")
	}
	if flags&zoneOfMark != 0 {
		r.does(anyZone, "sets a zone of connection tracking that is not known")
	} else if zone := binary.NativeEndian.Uint16(info[2:]); zone != 0 {
		r.zone(zone)
	}
}

// compatRange reads the addresses of struct nf_nat_range and of its predecessor for IPv4, nf_nat_ipv4_multi_range_compat.
func compatRange(family byte, revision uint32, info []byte) []sources {
	const mapsAddresses = 1
	flags, first, step := 0, 4, 16
	if revision == 0 && family != unix.NFPROTO_IPV6 {
		flags, first, step = 4, 8, 4
	}
	if len(info) < first+2*step {
		return []sources{{unknown: true}}
	}
	if binary.NativeEndian.Uint32(info[flags:])&mapsAddresses == 0 {
		return nil
	}
	size := 4
	if family == unix.NFPROTO_IPV6 {
		size = 16
	}
	return []sources{sourceRange(info[first:first+size], info[first+step:first+step+size])}
}

// sourceRange returns the addresses from lo to hi; what is not an address is not known.
func sourceRange(lo, hi []byte) sources {
	from, ok := netip.AddrFromSlice(lo)
	to, ok2 := netip.AddrFromSlice(hi)
	if !ok || !ok2 || from.Is4() != to.Is4() {
		return sources{unknown: true}
	}
	return sources{lo: from, hi: to}
}
