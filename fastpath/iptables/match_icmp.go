// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// icmpType is a type, and its code or -1 for all.
type icmpType struct {
	name string
	kind uint8
	code int
}

// icmpTypes are the names that iptables knows.
var icmpTypes = []icmpType{
	{"any", 255, -1},
	{"echo-reply", 0, -1},
	{"pong", 0, -1},
	{"destination-unreachable", 3, -1},
	{"network-unreachable", 3, 0},
	{"host-unreachable", 3, 1},
	{"protocol-unreachable", 3, 2},
	{"port-unreachable", 3, 3},
	{"fragmentation-needed", 3, 4},
	{"source-route-failed", 3, 5},
	{"network-unknown", 3, 6},
	{"host-unknown", 3, 7},
	{"network-prohibited", 3, 9},
	{"host-prohibited", 3, 10},
	{"TOS-network-unreachable", 3, 11},
	{"TOS-host-unreachable", 3, 12},
	{"communication-prohibited", 3, 13},
	{"host-precedence-violation", 3, 14},
	{"precedence-cutoff", 3, 15},
	{"source-quench", 4, -1},
	{"redirect", 5, -1},
	{"network-redirect", 5, 0},
	{"host-redirect", 5, 1},
	{"TOS-network-redirect", 5, 2},
	{"TOS-host-redirect", 5, 3},
	{"echo-request", 8, -1},
	{"ping", 8, -1},
	{"router-advertisement", 9, -1},
	{"router-solicitation", 10, -1},
	{"time-exceeded", 11, -1},
	{"ttl-exceeded", 11, -1},
	{"ttl-zero-during-transit", 11, 0},
	{"ttl-zero-during-reassembly", 11, 1},
	{"parameter-problem", 12, -1},
	{"ip-header-bad", 12, 0},
	{"required-option-missing", 12, 1},
	{"timestamp-request", 13, -1},
	{"timestamp-reply", 14, -1},
	{"address-mask-request", 17, -1},
	{"address-mask-reply", 18, -1},
}

// icmp6Types are the names that ip6tables knows.
var icmp6Types = []icmpType{
	{"destination-unreachable", 1, -1},
	{"no-route", 1, 0},
	{"communication-prohibited", 1, 1},
	{"beyond-scope", 1, 2},
	{"address-unreachable", 1, 3},
	{"port-unreachable", 1, 4},
	{"failed-policy", 1, 5},
	{"reject-route", 1, 6},
	{"packet-too-big", 2, -1},
	{"time-exceeded", 3, -1},
	{"ttl-exceeded", 3, -1},
	{"ttl-zero-during-transit", 3, 0},
	{"ttl-zero-during-reassembly", 3, 1},
	{"parameter-problem", 4, -1},
	{"bad-header", 4, 0},
	{"unknown-header-type", 4, 1},
	{"unknown-option", 4, 2},
	{"echo-request", 128, -1},
	{"ping", 128, -1},
	{"echo-reply", 129, -1},
	{"pong", 129, -1},
	{"mld-listener-query", 130, -1},
	{"mld-listener-report", 131, -1},
	{"mld-listener-done", 132, -1},
	{"mld-listener-reduction", 132, -1},
	{"router-solicitation", 133, -1},
	{"router-advertisement", 134, -1},
	{"neighbour-solicitation", 135, -1},
	{"neighbor-solicitation", 135, -1},
	{"neighbour-advertisement", 136, -1},
	{"neighbor-advertisement", 136, -1},
	{"redirect", 137, -1},
}

// parseICMP reads a type by its name, of which the beginning is enough, or TYPE, or TYPE/CODE.
func parseICMP(names []icmpType, text string) (icmpType, error) {
	var found []icmpType
	for _, n := range names {
		if len(n.name) >= len(text) && strings.EqualFold(n.name[:len(text)], text) {
			found = append(found, n)
		}
	}
	if len(found) > 1 && len(found[0].name) != len(text) {
		return icmpType{}, fmt.Errorf("ambiguous ICMP type `%s': `%s' or `%s'?", text, found[0].name, found[1].name)
	}
	if len(found) > 0 {
		return found[0], nil
	}
	kind, code, hasCode := strings.Cut(text, "/")
	t := icmpType{code: -1}
	n, err := strconv.ParseUint(kind, 0, 8)
	if err != nil {
		return t, fmt.Errorf("unknown ICMP type `%s'", text)
	}
	t.kind = uint8(n)
	if hasCode && code != "0:255" {
		if n, err = strconv.ParseUint(code, 0, 8); err != nil {
			return t, fmt.Errorf("unknown ICMP code `%s'", text)
		}
		t.code = int(n)
	}
	return t, nil
}

func normalICMP(g *given) []Option {
	names, protocol := icmpTypes, uint8(header.ICMP)
	name := "--icmp-type"
	if g.in.name == "icmp6" {
		names, protocol, name = icmp6Types, header.ICMPv6, "--icmpv6-type"
	}
	g.needs(protocol)
	o := g.option(name, true)
	if o == nil {
		if g.in.name == "icmp6" {
			g.fail(g.in.at, "icmp6: option \"--icmpv6-type\" must be specified", "write it, or leave out -m icmp6")
			return nil
		}
		return []Option{{Name: name, Args: []string{"any"}}}
	}
	t, err := parseICMP(names, o.Args[0])
	if err != nil {
		var all []string
		for _, n := range names {
			all = append(all, n.name)
		}
		g.fail(g.argumentAt(o), err.Error(), didYouMean(o.Args[0], all, "write a type such as echo-request or 8, or a type and code such as 3/4"))
		return nil
	}
	text := strconv.Itoa(int(t.kind))
	if t.code >= 0 {
		text += "/" + strconv.Itoa(t.code)
	}
	if t.kind == 255 && t.code < 0 && name == "--icmp-type" {
		text = "any"
	}
	return []Option{{o.Not, name, []string{text}}}
}

func lowerICMP(r *Rule, m *Match) ([]header.Box, string) {
	if protocolMatch(r.Family, r.Proto) != m.Name {
		return everything(), "the match " + m.Name + " is for another protocol than the rule"
	}
	o := m.Options[0]
	t, err := parseICMP(icmpTypes[:1], o.Args[0])
	if err != nil {
		return everything(), err.Error()
	}
	first := uint32(t.kind) << 8
	set := header.Range(first, first|0xff)
	switch {
	case t.kind == 255 && m.Name == "icmp": // the kernel takes this type for all, whatever the code
		set = nil
	case t.code >= 0:
		set = header.Range(first|uint32(t.code), first|uint32(t.code))
	}
	return with(header.Sport, set, o.Not), ""
}

// number reads an option's only argument. ok is false if it was not valid.
func (g *given) number(o *parsedOption, hi uint32) (n uint32, ok bool) {
	v, err := strconv.ParseUint(o.Args[0], 0, 32)
	if err != nil || uint32(v) > hi {
		g.fail(g.argumentAt(o), fmt.Sprintf("%s: bad value for option %q: %q", g.in.name, o.Name, o.Args[0]),
			fmt.Sprintf("write a number from 0 to %d", hi))
		return 0, false
	}
	return uint32(v), true
}

// only returns the one option that is given of several, and fails unless there is exactly one.
func (g *given) only(negatable bool, names ...string) *parsedOption {
	var found *parsedOption
	for _, name := range names {
		o := g.option(name, negatable)
		if o == nil {
			continue
		}
		if found != nil {
			g.fail(o.at, g.in.name+": "+o.Name+" and "+found.Name+" exclude each other", "keep one of them")
		}
		found = o
	}
	if found == nil {
		g.fail(g.in.at, g.in.name+": an option must be specified", "write one of "+strings.Join(slices.Compact(names), ", "))
	}
	return found
}
