// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

func between(v uint32, lo, hi int) bool { return v >= uint32(lo) && v <= uint32(hi) }

func (s source) portNumber(what string) int {
	return pick(s, []int{0, 1, 22, 53, 80, 81, 1023, 1024, 8080, 65534, 65535}, what)
}

func (s source) portRange() (string, int, int) {
	lo, hi := s.portNumber("low"), s.portNumber("high")
	if lo > hi {
		lo, hi = hi, lo
	}
	if lo == hi {
		return fmt.Sprint(lo), lo, hi
	}
	return fmt.Sprintf("%d:%d", lo, hi), lo, hi
}

// port is port_match of xt_tcpudp.c, and the like of xt_sctp.c and xt_dccp.c.
func (s source) port(module string) condition {
	n, not := s.not()
	text, lo, hi := s.portRange()
	option, w := "--sport", header.Sport
	if s.chance("dport") {
		option, w = "--dport", header.Dport
	}
	return condition{"-m " + module + " " + n + option + " " + text, func(p *header.Packet) bool {
		return between(p.Words[w], lo, hi) != not
	}}
}

// multiport is ports_match_v1 of xt_multiport.c.
func (s source) multiport() condition {
	n, not := s.not()
	option := pick(s, []string{"--sports", "--dports", "--ports"}, "ports")
	var list []string
	var ranges [][2]int
	for range s.number(1, 7, "count") {
		text, lo, hi := s.portRange()
		list, ranges = append(list, text), append(ranges, [2]int{lo, hi})
	}
	return condition{"-m multiport " + n + option + " " + strings.Join(list, ","), func(p *header.Packet) bool {
		for _, r := range ranges {
			src, dst := between(p.Words[header.Sport], r[0], r[1]), between(p.Words[header.Dport], r[0], r[1])
			if option == "--sports" && src || option == "--dports" && dst || option == "--ports" && (src || dst) {
				return !not
			}
		}
		return not
	}}
}

func (s source) flagList(what string) (string, uint32) {
	var names []string
	var flags uint32
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if s.chance(what) {
			names, flags = append(names, name), flags|1<<i
		}
	}
	if names == nil {
		return "NONE", 0
	}
	return strings.Join(names, ","), flags
}

func (s source) flags() condition {
	n, not := s.not()
	maskText, mask := s.flagList("mask")
	text, want := s.flagList("flags")
	return condition{"-m tcp " + n + "--tcp-flags " + maskText + " " + text, func(p *header.Packet) bool {
		return (p.Words[header.Flags]&mask == want) != not
	}}
}

func (s source) syn() condition {
	n, not := s.not()
	return condition{"-m tcp " + n + "--syn", func(p *header.Packet) bool {
		return (p.Words[header.Flags]&0x17 == 2) != not
	}}
}

// ecnTCP is match_tcp of xt_ecn.c.
func (s source) ecnTCP() condition {
	n, not := s.not()
	option, bit := "--ecn-tcp-ece", uint32(0x40)
	if s.chance("cwr") {
		option, bit = "--ecn-tcp-cwr", 0x80
	}
	return condition{"-m ecn " + n + option, func(p *header.Packet) bool { return (p.Words[header.Flags]&bit != 0) != not }}
}

func (s source) ecnIP() condition {
	n, not := s.not()
	v := s.number(0, 3, "codepoint")
	return condition{fmt.Sprintf("-m ecn %s--ecn-ip-ect %d", n, v), func(p *header.Packet) bool { //nolint:misspell // an option
		return (p.Words[header.TOS]&3 == uint32(v)) != not
	}}
}

// icmp is icmp_type_code_match of the kernel, which takes type 255 of IPv4 for any.
func (s source) icmp() condition {
	n, not := s.not()
	kind, lo, hi := pick(s, []int{0, 3, 8, 128, 255}, "type"), 0, 255
	text := fmt.Sprint(kind)
	if s.chance("code") {
		lo = s.number(0, 4, "code")
		hi = lo
		text += fmt.Sprintf("/%d", lo)
	}
	module, option := "icmp", "--icmp-type"
	if s.family == header.V6 {
		module, option = "icmp6", "--icmpv6-type"
	}
	any4 := kind == 255 && s.family == header.V4
	return condition{"-m " + module + " " + n + option + " " + text, func(p *header.Packet) bool {
		v := p.Words[header.Sport]
		return (any4 || v>>8 == uint32(kind) && between(v&0xff, lo, hi)) != not
	}}
}

func (s source) iprange() condition {
	n, not := s.not()
	a, b := s.host("from"), s.host("to")
	if b.Less(a) {
		a, b = b, a
	}
	option, first := "--src-range", header.Src0
	if s.chance("dst") {
		option, first = "--dst-range", header.Dst0
	}
	lo, hi := a.AsSlice(), b.AsSlice()
	return condition{fmt.Sprintf("-m iprange %s%s %s-%s", n, option, a, b), func(p *header.Packet) bool {
		got := bytesOf(p, first)
		return (bytes.Compare(got, lo) >= 0 && bytes.Compare(got, hi) <= 0) != not
	}}
}

func (s source) dscp() condition {
	n, not := s.not()
	v := s.number(0, 63, "dscp")
	return condition{fmt.Sprintf("-m dscp %s--dscp %d", n, v), func(p *header.Packet) bool {
		return (p.Words[header.TOS]>>2 == uint32(v)) != not
	}}
}

// tos is tos_mt of xt_dscp.c.
func (s source) tos() condition {
	n, not := s.not()
	v, mask := s.number(0, 255, "tos"), s.number(0, 255, "mask")
	return condition{fmt.Sprintf("-m tos %s--tos %d/%#x", n, v, mask), func(p *header.Packet) bool {
		return (p.Words[header.TOS]&uint32(mask) == uint32(v)) != not
	}}
}

func (s source) length() condition {
	n, not := s.not()
	lo := pick(s, []int{0, 20, 84, 1500}, "length")
	hi := lo + pick(s, []int{0, 1, 1000}, "longer")
	return condition{fmt.Sprintf("-m length %s--length %d:%d", n, lo, hi), func(p *header.Packet) bool {
		return between(p.Words[header.Length], lo, hi) != not
	}}
}

func (s source) ttl() condition {
	module := "ttl"
	if s.family == header.V6 {
		module = "hl"
	}
	v := pick(s, []int{0, 1, 63, 64, 255}, "ttl")
	switch s.number(0, 3, "mode") {
	case 0:
		return condition{fmt.Sprintf("-m %s --%s-lt %d", module, module, v), func(p *header.Packet) bool { return p.Words[header.TTL] < uint32(v) }}
	case 1:
		return condition{fmt.Sprintf("-m %s --%s-gt %d", module, module, v), func(p *header.Packet) bool { return p.Words[header.TTL] > uint32(v) }}
	}
	n, not := s.not()
	return condition{fmt.Sprintf("-m %s %s--%s-eq %d", module, n, module, v), func(p *header.Packet) bool {
		return (p.Words[header.TTL] == uint32(v)) != not
	}}
}

// Bits of the state of xt_conntrack.h; those of the IP_CT_ numbers are 1 << (number + 1).
var stateBits = map[string]uint32{"INVALID": 1, "ESTABLISHED": 2, "RELATED": 4, "NEW": 8, "SNAT": 64, "DNAT": 128, "UNTRACKED": 256}

// entry returns the bit of the packet's state, and whether it belongs to a connection.
func entry(p *header.Packet) (bit uint32, has bool) {
	switch header.CT(p.Words[header.State] & 7) {
	case header.New:
		return 8, true
	case header.Established:
		return 2, true
	case header.Related:
		return 4, true
	case header.Untracked:
		return 256, false
	}
	return 1, false
}

func (s source) stateList(of []string) (string, uint32) {
	var names []string
	var mask uint32
	for _, name := range of {
		if s.chance(name) {
			names, mask = append(names, name), mask|stateBits[name]
		}
	}
	if names == nil {
		return of[0], stateBits[of[0]]
	}
	return strings.Join(names, ","), mask
}

func (s source) state() condition {
	n, not := s.not()
	text, mask := s.stateList([]string{"NEW", "ESTABLISHED", "INVALID", "UNTRACKED", "RELATED"})
	return condition{"-m state " + n + "--state " + text, func(p *header.Packet) bool {
		bit, _ := entry(p)
		return (mask&bit != 0) != not
	}}
}

// ctstate is conntrack_mt of xt_conntrack.c, line by line.
func (s source) ctstate() condition {
	n, not := s.not()
	text, mask := s.stateList([]string{"DNAT", "NEW", "ESTABLISHED", "INVALID", "UNTRACKED", "RELATED", "SNAT"})
	dir := pick(s, []string{"", "ORIGINAL", "REPLY"}, "dir")
	all := "-m conntrack " + n + "--ctstate " + text
	byState := true
	if dir != "" {
		if s.chance("dir only") {
			all, byState = "-m conntrack", false
		}
		all += " --ctdir " + dir
	}
	return condition{all, func(p *header.Packet) bool {
		bit, ct := entry(p)
		v := p.Words[header.State]
		if byState {
			if ct && v&header.StateSNAT != 0 {
				bit |= 64
			}
			if ct && v&header.StateDNAT != 0 {
				bit |= 128
			}
			if (mask&bit != 0) == not {
				return false
			}
		}
		if !ct {
			return byState
		}
		return dir == "" || (dir == "REPLY") == (v&header.StateReply != 0)
	}}
}

func (s source) comment() condition {
	text := pick(s, []string{"plain", "two words", `it's "quoted" \ and -j DROP`, "-j", "!"}, "comment")
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
	return condition{"-m comment --comment " + quoted, func(*header.Packet) bool { return true }}
}
