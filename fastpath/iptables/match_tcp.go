// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// tcpFlags are the names of the flags that iptables knows, in the order in which it prints them.
var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}

// parseFlags reads a list of flags.
func parseFlags(text string) (flags uint32, bad string) {
	for _, name := range strings.Split(text, ",") {
		upper := strings.ToUpper(name)
		switch i := slices.Index(tcpFlags, upper); {
		case i >= 0:
			flags |= 1 << i
		case upper == "ALL":
			flags |= 0x3f
		case upper == "NONE" || upper == "":
		default:
			return 0, name
		}
	}
	return flags, ""
}

func flagsText(flags uint32) string {
	var names []string
	for i, name := range tcpFlags {
		if flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "NONE"
	}
	return strings.Join(names, ",")
}

func normalTCP(g *given) []Option {
	g.needs(header.TCP)
	options := g.verbatimNumber(g.ports(), "--tcp-option")
	syn, flags := g.option("--syn", true), g.option("--tcp-flags", true)
	switch {
	case syn != nil && flags != nil:
		g.fail(max(syn.at, flags.at), "Only one of `--syn' or `--tcp-flags' allowed", "--syn is --tcp-flags FIN,SYN,RST,ACK SYN")
	case syn != nil:
		options = append(options, Option{syn.Not, "--tcp-flags", []string{"FIN,SYN,RST,ACK", "SYN"}})
	case flags != nil:
		var args []string
		for i, arg := range flags.Args {
			f, bad := parseFlags(arg)
			if bad != "" {
				g.fail(min(flags.at+1+i, len(g.p.words)-1), "Unknown TCP flag `"+bad+"'", "flags are "+strings.Join(tcpFlags, ", ")+", ALL and NONE")
			}
			args = append(args, flagsText(f))
		}
		if args[0] != "NONE" || args[1] != "NONE" || flags.Not {
			options = append(options, Option{flags.Not, "--tcp-flags", args})
		}
	}
	return options
}

// verbatimNumber appends an option whose argument is a number up to 255.
func (g *given) verbatimNumber(options []Option, name string) []Option {
	o := g.option(name, true)
	if o == nil {
		return options
	}
	n, ok := g.number(o, 255)
	if !ok {
		return options
	}
	return append(options, Option{o.Not, name, []string{strconv.Itoa(int(n))}})
}

func lowerTCP(r *Rule, m *Match) ([]header.Box, string) {
	var others Match
	others.Name = m.Name
	boxes := everything()
	for _, o := range m.Options {
		if o.Name != "--tcp-flags" {
			others.Options = append(others.Options, o)
			continue
		}
		mask, _ := parseFlags(o.Args[0])
		want, _ := parseFlags(o.Args[1])
		set, _ := header.Masked(want, mask, header.Flags.Max(), 256)
		boxes = with(header.Flags, set, o.Not)
	}
	rest, reason := lowerPorts(r, &others)
	return header.IntersectBoxes(boxes, rest), reason
}
