// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Matches of fields of the IP header.

func normalTTL(g *given) []Option { return g.hops("--ttl", header.V4) }
func normalHL(g *given) []Option  { return g.hops("--hl", header.V6) }

func (g *given) hops(prefix string, f header.Family) []Option {
	if g.p.family != f {
		g.fail(g.in.at, "the match "+g.in.name+" is for IPv"+strconv.Itoa(int(f)), "use ttl for IPv4 and hl for IPv6")
	}
	for _, name := range []string{prefix + "-lt", prefix + "-gt"} {
		if o := g.option(name, false); o != nil && o.Not {
			return nil
		}
	}
	o := g.only(true, prefix+"-eq", prefix+"-lt", prefix+"-gt")
	if o == nil {
		return nil
	}
	n, _ := g.number(o, 255)
	return []Option{{o.Not, o.Name, []string{strconv.Itoa(int(n))}}}
}

func lowerTTL(_ *Rule, m *Match) ([]header.Box, string) {
	o := m.Options[0]
	n, err := strconv.ParseUint(o.Args[0], 10, 8)
	if err != nil {
		return everything(), "the number of hops is not valid"
	}
	v := uint32(n)
	var set header.Set
	switch {
	case strings.HasSuffix(o.Name, "-eq"):
		set = header.Range(v, v)
	case strings.HasSuffix(o.Name, "-gt"):
		set = header.Range(v+1, header.TTL.Max())
	case v == 0:
		set = header.Set{}
	default:
		set = header.Range(0, v-1)
	}
	return with(header.TTL, set, o.Not), ""
}

// dscpClasses are names of DSCP values.
var dscpClasses = map[string]uint32{
	"CS0": 0, "CS1": 8, "CS2": 16, "CS3": 24, "CS4": 32, "CS5": 40, "CS6": 48, "CS7": 56, "BE": 0,
	"AF11": 10, "AF12": 12, "AF13": 14, "AF21": 18, "AF22": 20, "AF23": 22, "AF31": 26, "AF32": 28, "AF33": 30,
	"AF41": 34, "AF42": 36, "AF43": 38, "EF": 46,
}

func normalDSCP(g *given) []Option {
	o := g.only(true, "--dscp", "--dscp-class")
	if o == nil {
		return nil
	}
	if o.Name == "--dscp" {
		n, _ := g.number(o, 63)
		return []Option{{o.Not, "--dscp", []string{fmt.Sprintf("0x%02x", n)}}}
	}
	n, is := dscpClasses[strings.ToUpper(o.Args[0])]
	if !is {
		g.fail(g.argumentAt(o), "Invalid DSCP value `"+o.Args[0]+"'", "classes are BE, EF, AF11 to AF43, and CS0 to CS7")
	}
	return []Option{{o.Not, "--dscp", []string{fmt.Sprintf("0x%02x", n)}}}
}

func lowerDSCP(_ *Rule, m *Match) ([]header.Box, string) {
	o := m.Options[0]
	n, err := strconv.ParseUint(o.Args[0], 0, 8)
	if err != nil {
		return everything(), "the DSCP is not valid"
	}
	return with(header.TOS, header.Range(uint32(n)<<2, uint32(n)<<2|3), o.Not), ""
}

// tosNames are names of values of TOS, of which the bits 0x3f count.
var tosNames = map[string]uint32{
	"minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04,
	"minimize-cost": 0x02, "normal-service": 0,
}

func normalTOS(g *given) []Option {
	o := g.option("--tos", true)
	if o == nil {
		g.fail(g.in.at, "tos: option \"--tos\" must be specified", "write it")
		return nil
	}
	value, is := tosNames[strings.ToLower(o.Args[0])]
	mask := uint64(0x3f)
	if !is {
		v, m, hasMask := strings.Cut(o.Args[0], "/")
		n, err := strconv.ParseUint(v, 0, 8)
		mask = 0xff
		var err2 error
		if hasMask {
			mask, err2 = strconv.ParseUint(m, 0, 8)
		}
		if err != nil || err2 != nil {
			g.fail(g.argumentAt(o), "tos: bad value for option \"--tos\": `"+o.Args[0]+"'", "write a value such as 0x10, or a value and mask such as 0x10/0x3f")
		}
		value = uint32(n)
	}
	return []Option{{o.Not, "--tos", []string{fmt.Sprintf("0x%02x/0x%02x", value, mask)}}}
}

func lowerTOS(_ *Rule, m *Match) ([]header.Box, string) {
	o := m.Options[0]
	v, mask, _ := strings.Cut(o.Args[0], "/")
	value, err := strconv.ParseUint(v, 0, 8)
	bits, err2 := strconv.ParseUint(mask, 0, 8)
	if err != nil || err2 != nil {
		return everything(), "the value of TOS is not valid"
	}
	set, _ := header.Masked(uint32(value), uint32(bits), header.TOS.Max(), 256)
	return with(header.TOS, set, o.Not), ""
}

func normalECN(g *given) []Option {
	var options []Option
	for _, name := range []string{"--ecn-tcp-ece", "--ecn-tcp-cwr"} {
		if o := g.option(name, true); o != nil {
			g.needs(header.TCP)
			options = append(options, o.Option)
		}
	}
	if o := g.option("--ecn-ip-ect", true); o != nil { //nolint:misspell // ECT is "ECN-capable transport"
		n, _ := g.number(o, 3)
		options = append(options, Option{o.Not, o.Name, []string{strconv.Itoa(int(n))}})
	}
	if len(options) == 0 {
		g.fail(g.in.at, "ECN match: some option required", "write --ecn-ip-ect, --ecn-tcp-ece or --ecn-tcp-cwr") //nolint:misspell // ECT is "ECN-capable transport"
	}
	return options
}

func lowerECN(r *Rule, m *Match) ([]header.Box, string) {
	boxes := everything()
	for _, o := range m.Options {
		w, mask, value := header.Flags, uint32(0x40), uint32(0x40)
		switch o.Name {
		case "--ecn-tcp-cwr":
			mask, value = 0x80, 0x80
		case "--ecn-ip-ect": //nolint:misspell // ECT is "ECN-capable transport"
			n, err := strconv.ParseUint(o.Args[0], 0, 8)
			if err != nil {
				return everything(), "the ECN value is not valid"
			}
			w, mask, value = header.TOS, 3, uint32(n)
		}
		if w == header.Flags && (r.Proto.Not || r.Proto.Number != header.TCP) {
			return everything(), "the match ecn is for another protocol than the rule"
		}
		set, _ := header.Masked(value, mask, w.Max(), 256)
		boxes = header.IntersectBoxes(boxes, with(w, set, o.Not))
	}
	return boxes, ""
}

func normalLength(g *given) []Option {
	o := g.option("--length", true)
	if o == nil {
		g.fail(g.in.at, "length: option \"--length\" must be specified", "write it")
		return nil
	}
	lo, hi, err := lengthRange(o.Args[0])
	if err != nil {
		g.fail(g.argumentAt(o), err.Error(), "write bytes up to 65535, or a range such as 100:1500")
	}
	return []Option{{o.Not, "--length", []string{rangeText(lo, hi)}}}
}

func lengthRange(text string) (lo, hi uint16, err error) {
	from, to, isRange := strings.Cut(text, ":")
	var l, h uint64
	if from != "" || !isRange {
		if l, err = strconv.ParseUint(from, 0, 16); err != nil {
			return 0, 0, fmt.Errorf("length: bad value for option \"--length\": `%s'", text)
		}
	}
	switch {
	case !isRange:
		h = l
	case to == "":
		h = 0xffff
	default:
		if h, err = strconv.ParseUint(to, 0, 16); err != nil {
			return 0, 0, fmt.Errorf("length: bad value for option \"--length\": `%s'", text)
		}
	}
	if l > h {
		return 0, 0, fmt.Errorf("length: the first number of `%s' is larger than the second", text)
	}
	return uint16(l), uint16(h), nil
}

func lowerLength(_ *Rule, m *Match) ([]header.Box, string) {
	o := m.Options[0]
	lo, hi, err := lengthRange(o.Args[0])
	if err != nil {
		return everything(), err.Error()
	}
	return with(header.Length, header.Range(uint32(lo), uint32(hi)), o.Not), ""
}
