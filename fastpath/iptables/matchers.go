// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"github.com/dwelltrace/dwell/fastpath/header"
)

// matcher is what is known of a match that is understood.
type matcher struct {
	// normal returns the options in the order and notation of iptables-save.
	normal func(*given) []Option
	// lower returns the packets that match, and why it is not known which: then there are
	// at least those that may match.
	lower func(*Rule, *Match) ([]header.Box, string)
}

// matchers are the matches that are understood.
var matchers = map[string]matcher{
	"comment":   {normalComment, func(*Rule, *Match) ([]header.Box, string) { return everything(), "" }},
	"conntrack": {normalConntrack, lowerConntrack},
	"dccp":      {normalDCCP, lowerPorts},
	"dscp":      {normalDSCP, lowerDSCP},
	"ecn":       {normalECN, lowerECN},
	"hl":        {normalHL, lowerTTL},
	"icmp":      {normalICMP, lowerICMP},
	"icmp6":     {normalICMP, lowerICMP},
	"iprange":   {normalRange, lowerRange},
	"length":    {normalLength, lowerLength},
	"multiport": {normalMultiport, lowerMultiport},
	"sctp":      {normalSCTP, lowerPorts},
	"state":     {normalState, lowerConntrack},
	"tcp":       {normalTCP, lowerTCP},
	"tos":       {normalTOS, lowerTOS},
	"ttl":       {normalTTL, lowerTTL},
	"udp":       {normalUDP, lowerPorts},
}

func everything() []header.Box { return []header.Box{{}} }

// with returns the packets whose word is in the set; with not, the others.
func with(w header.Word, s header.Set, not bool) []header.Box {
	if not {
		s = s.Complement(w.Max())
	}
	if s.Empty() {
		return nil
	}
	var b header.Box
	b[w] = s
	return []header.Box{b}
}

// option returns the option with the name, or nil.
func (m *Match) option(name string) *Option {
	for i := range m.Options {
		if m.Options[i].Name == name {
			return &m.Options[i]
		}
	}
	return nil
}

// normalComment keeps the comment.
func normalComment(g *given) []Option {
	o := g.option("--comment", false)
	if o == nil {
		g.fail(g.in.at, "comment: option \"--comment\" must be specified", "write it")
		return nil
	}
	if len(o.Args[0]) > 255 {
		g.fail(g.argumentAt(o), "COMMENT must be shorter than 256 characters", "shorten it")
	}
	return []Option{o.Option}
}
