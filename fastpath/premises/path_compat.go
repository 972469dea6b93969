// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"encoding/binary"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// fixedMatches are matches of iptables that say the same of all packets of a flow, if these have no extension
// headers, of all that comes within seconds, and as long as nobody changes a set.
var fixedMatches = []string{
	"addrtype", "ah", "cgroup", "cluster", "connmark", "dccp", "devgroup", "dscp", "dst", "esp", "eui64", "frag", "hbh", "helper",
	"icmp", "icmp6", "icmpv6", "ipcomp", "iprange", "ipv6header", "ipvs", "mac", "mark", "mh", "multiport", "owner", "physdev",
	"pkttype", "policy", "realm", "rpfilter", "rt", "sctp", "srh",
}

// compatMatch reads a match of the old kind.
func (f *flowReader) compatMatch(name string, revision uint32, info []byte) {
	word := func(n int) uint32 { return binary.NativeEndian.Uint32(info[4*n:]) }
	varies := "looks at each packet (" + name + ")"
	switch {
	case name == "comment":
	case slices.Contains(fixedMatches, name):
		f.mayMeet("")
	case name == "conntrack" && revision >= 2 && len(info) >= 154:
		f.compatConntrack(info)
	case name == "state" && len(info) >= 4:
		f.inStates(func(v uint32) bool { return word(0)&conntrackBit(v, 1<<6) != 0 })
	case name == "tcp" && len(info) >= 12 && info[8] == 0:
		f.compatTCP(info)
	case name == "udp" && len(info) >= 9:
		f.meets(portBoxes(header.UDP, info, info[8]))
	case name == "length" && len(info) >= 5:
		f.meets(limited(header.Length, binary.NativeEndian.Uint16(info), binary.NativeEndian.Uint16(info[2:]), info[4] != 0))
	case name == "tos" && len(info) >= 3:
		set, _ := header.Masked(uint32(info[1]), uint32(info[0]), header.TOS.Max(), 256)
		f.meets(in(header.TOS, set, info[2] != 0))
	case name == "set": // struct xt_set_info, flags; after these, counters are asked for
		if len(info) > 8 && slices.ContainsFunc(info[8:], func(b byte) bool { return b != 0 }) {
			f.mayMeet(varies)
		} else {
			f.mayMeet("")
		}
	case name == "connlabel" && len(info) >= 4 && info[2]&2 == 0: // XT_CONNLABEL_OP_SET
		f.mayMeet("")
	default:
		f.mayMeet(varies)
	}
}

// in returns the packets whose word is in the set; with not, the others.
func in(w header.Word, s header.Set, not bool) []header.Box {
	if not {
		s = s.Complement(w.Max())
	}
	return []header.Box{header.Box{}.With(w, s)}
}

func limited(w header.Word, lo, hi uint16, not bool) []header.Box {
	return in(w, header.Range(uint32(lo), uint32(hi)), not)
}

// inStates adds a condition about the word State.
func (f *flowReader) inStates(has func(uint32) bool) {
	var values []uint32
	for v := range header.StateEnd {
		if has(v) {
			values = append(values, v)
		}
	}
	f.meets(in(header.State, header.Values(values...), false))
}

// conntrackBit is what XT_CONNTRACK_STATE_BIT is for a state.
func conntrackBit(v, untracked uint32) uint32 {
	switch header.CT(v & 7) {
	case header.Invalid:
		return 1 << 0
	case header.Established:
		return 1 << 1
	case header.Related:
		return 1 << 2
	case header.New:
		return 1 << 3
	case header.Untracked:
		return untracked
	}
	return 0
}

// compatConntrack reads struct xt_conntrack_mtinfo2 or 3.
func (f *flowReader) compatConntrack(info []byte) {
	const state, expires, direction, alias, at = 1 << 0, 1 << 7, 1 << 12, 1 << 13, 146
	const snat, dnat, untracked = 1 << 6, 1 << 7, 1 << 8
	flags, invert := binary.NativeEndian.Uint16(info[at:]), binary.NativeEndian.Uint16(info[at+2:])
	mask := uint32(binary.NativeEndian.Uint16(info[at+4:]))
	if flags&expires != 0 {
		f.mayMeet("looks at when the connection expires")
	} else if flags&^(state|direction|alias) != 0 {
		f.mayMeet("")
	}
	f.inStates(func(v uint32) bool {
		ct := header.CT(v & 7)
		entry := ct == header.New || ct == header.Established || ct == header.Related
		if flags&state != 0 {
			bits := conntrackBit(v, untracked)
			if entry && v&header.StateSNAT != 0 {
				bits |= snat
			}
			if entry && v&header.StateDNAT != 0 {
				bits |= dnat
			}
			if (mask&bits != 0) == (invert&state != 0) {
				return false
			}
		}
		if !entry { // the kernel asks for nothing but the state
			return flags&state != 0
		}
		return flags&direction == 0 || (v&header.StateReply == 0) == (invert&direction == 0)
	})
}

// compatTCP reads struct xt_tcp without an option: spts[2], dpts[2], option, flg_mask, flg_cmp, invflags.
func (f *flowReader) compatTCP(info []byte) {
	const notFlags = 1 << 2
	f.meets(portBoxes(header.TCP, info, info[11]))
	set, _ := header.Masked(uint32(info[10]), uint32(info[9]), header.Flags.Max(), 256)
	f.meets(in(header.Flags, set, info[11]&notFlags != 0))
}

// portBoxes returns the packets of a protocol whose ports are in two ranges, or not.
func portBoxes(protocol uint32, info []byte, invert byte) []header.Box {
	const notSource, notDestination = 1 << 0, 1 << 1
	port := func(n int) uint16 { return binary.NativeEndian.Uint16(info[2*n:]) }
	boxes := []header.Box{header.Box{}.With(header.Proto, header.Values(protocol))}
	boxes = header.IntersectBoxes(boxes, limited(header.Sport, port(0), port(1), invert&notSource != 0))
	return header.IntersectBoxes(boxes, limited(header.Dport, port(2), port(3), invert&notDestination != 0))
}
