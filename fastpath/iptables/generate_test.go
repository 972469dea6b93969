// SPDX-License-Identifier: Apache-2.0

package iptables_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// condition is a part of a rule as a person types it, and what the kernel does with it, written
// from the kernel's source and not from the package under test.
type condition struct {
	text  string
	holds func(p *header.Packet) bool
}

// drawn is a random rule.
type drawn struct {
	family header.Family
	text   string
	conds  []condition
}

// matches reports whether the kernel's modules, one after the other, take the packet.
func (d *drawn) matches(p *header.Packet) bool {
	return !slices.ContainsFunc(d.conds, func(c condition) bool { return !c.holds(p) })
}

// source draws parts of rules.
type source struct {
	*rapid.T
	family header.Family
}

func (s source) number(lo, hi int, what string) int { return rapid.IntRange(lo, hi).Draw(s.T, what) }
func (s source) chance(what string) bool            { return rapid.Bool().Draw(s.T, what) }

func pick[T any](s source, of []T, what string) T { return rapid.SampledFrom(of).Draw(s.T, what) }

// not draws a negation: what stands before the option, and whether it is one.
func (s source) not() (string, bool) {
	if s.number(0, 3, "not") == 0 {
		return "! ", true
	}
	return "", false
}

// drawRule draws a rule.
func drawRule(t *rapid.T) *drawn {
	s := source{t, pick(source{T: t}, []header.Family{header.V4, header.V6}, "family")}
	d := &drawn{family: s.family}
	if s.chance("src") {
		d.conds = append(d.conds, s.address("-s", header.Src0))
	}
	if s.chance("dst") {
		d.conds = append(d.conds, s.address("-d", header.Dst0))
	}
	if s.number(0, 5, "in") == 0 {
		d.conds = append(d.conds, s.device())
	}
	proto := 0
	if s.number(0, 3, "proto") > 0 {
		c, n := s.protocol()
		d.conds, proto = append(d.conds, c), n
	}
	for range s.number(0, 3, "matches") {
		d.conds = append(d.conds, s.match(proto))
	}
	var parts []string
	for _, c := range d.conds {
		parts = append(parts, c.text)
	}
	parts = append(parts, pick(s, []string{"-j DROP", "-j ACCEPT", "-j RETURN", "-g own", "-j own", ""}, "target"))
	d.text = strings.TrimSpace(strings.Join(parts, " "))
	return d
}

// hosts are few, so that rules and packets meet.
func (s source) host(what string) netip.Addr {
	last := byte(s.number(0, 255, what))
	third := pick(s, []byte{0, 1, 2, 255}, what)
	if s.family == header.V4 {
		return netip.AddrFrom4([4]byte{10, pick(s, []byte{0, 1, 255}, what), third, last})
	}
	a := netip.MustParseAddr("2001:db8::").As16()
	a[6], a[8], a[12], a[15] = pick(s, []byte{0, 1}, what), third, pick(s, []byte{0, 255}, what), last
	return netip.AddrFrom16(a)
}

func (s source) address(option string, first header.Word) condition {
	addr := s.host(option)
	n, not := s.not()
	bits := s.number(0, addr.BitLen(), "bits")
	mask := make([]byte, addr.BitLen()/8)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	text := fmt.Sprintf("%s%s %s/%d", n, option, addr, bits)
	if s.number(0, 4, "holes") == 0 {
		mask[s.number(max(0, len(mask)-2), len(mask)-1, "hole")] = byte(s.number(0, 255, "mask"))
		m, _ := netip.AddrFromSlice(mask)
		text = fmt.Sprintf("%s%s %s/%s", n, option, addr, m)
	}
	want := addr.AsSlice()
	return condition{text, func(p *header.Packet) bool {
		got := bytesOf(p, first)
		same := true
		for i := range mask {
			same = same && got[i]&mask[i] == want[i]&mask[i]
		}
		return same != not
	}}
}

// bytesOf returns the address of a packet.
func bytesOf(p *header.Packet, first header.Word) []byte {
	b := make([]byte, 16)
	for i := range 4 {
		binary.BigEndian.PutUint32(b[4*i:], p.Words[int(first)+i])
	}
	if p.Family == header.V4 {
		return b[:4]
	}
	return b
}

func (s source) device() condition {
	n, not := s.not()
	// See devices: the tenant's is br-red.
	name := pick(s, []string{"br-red", "br-+", "eth0"}, "device")
	option := pick(s, []string{"-i", "-o"}, "direction")
	return condition{n + option + " " + name, func(p *header.Packet) bool {
		with := header.From
		if option == "-o" {
			with = header.To
		}
		return (name != "eth0" && p.Words[header.Origin] == with) != not
	}}
}

func (s source) protocol() (condition, int) {
	protocols := map[string]int{"tcp": 6, "udp": 17, "sctp": 132, "33": 33, "udplite": 136, "47": 47, "icmp": 1, "ipv6-icmp": 58}
	name := pick(s, []string{"tcp", "tcp", "udp", "udp", "sctp", "33", "udplite", "47", "icmp", "ipv6-icmp"}, "protocol")
	n, not := s.not()
	number := protocols[name]
	c := condition{n + "-p " + name, func(p *header.Packet) bool { return (p.Words[header.Proto] == uint32(number)) != not }}
	if not {
		return c, 0
	}
	return c, number
}

func (s source) match(proto int) condition {
	var of []func() condition
	switch proto {
	case 6:
		of = append(of, s.multiport, s.flags, s.syn, s.ecnTCP)
	case 17, 132, 33, 136:
		of = append(of, s.multiport)
	}
	switch proto {
	case 6:
		of = append(of, func() condition { return s.port("tcp") }, func() condition { return s.port("tcp") })
	case 17:
		of = append(of, func() condition { return s.port("udp") })
	case 132:
		of = append(of, func() condition { return s.port("sctp") })
	case 33:
		of = append(of, func() condition { return s.port("dccp") })
	}
	if proto == 1 && s.family == header.V4 || proto == 58 && s.family == header.V6 {
		of = append(of, s.icmp, s.icmp)
	}
	of = append(of, s.iprange, s.dscp, s.tos, s.ecnIP, s.length, s.ttl, s.state, s.ctstate, s.comment)
	return of[s.number(0, len(of)-1, "match")]()
}
