// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// parseRange reads LO-HI, or one address.
func parseRange(f header.Family, text string) (lo, hi netip.Addr, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if lo, err = parseHost(f, from); err != nil {
		return lo, hi, err
	}
	hi = lo
	if isRange {
		if hi, err = parseHost(f, to); err != nil {
			return lo, hi, err
		}
	}
	if hi.Less(lo) {
		return lo, hi, fmt.Errorf("iprange: the first address of `%s' is larger than the second", text)
	}
	return lo, hi, nil
}

func normalRange(g *given) []Option {
	var options []Option
	for _, name := range []string{"--src-range", "--dst-range"} {
		o := g.option(name, true)
		if o == nil {
			continue
		}
		lo, hi, err := parseRange(g.p.family, o.Args[0])
		if err != nil {
			g.fail(g.argumentAt(o), err.Error(), "write two addresses such as 192.0.2.1-192.0.2.9")
			return nil
		}
		options = append(options, Option{o.Not, name, []string{addressText(lo) + "-" + addressText(hi)}})
	}
	if len(options) == 0 {
		g.fail(g.in.at, "iprange match: You must specify `--src-range' or `--dst-range'", "write one of them, or both")
	}
	return options
}

func lowerRange(r *Rule, m *Match) ([]header.Box, string) {
	boxes := everything()
	for _, o := range m.Options {
		first := header.Src0
		if o.Name == "--dst-range" {
			first = header.Dst0
		}
		lo, hi, err := parseRange(r.Family, o.Args[0])
		if err != nil {
			return everything(), err.Error()
		}
		in := header.AddressRange(first, lo, hi)
		if o.Not {
			in = header.ComplementBoxes(in)
		}
		boxes = header.IntersectBoxes(boxes, in)
	}
	return boxes, ""
}
