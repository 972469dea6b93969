// SPDX-License-Identifier: Apache-2.0

package netfilter_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
)

// In these tests a rule's match is "-m p --p N": bit N of what the packet is.

// tenantSays judges a packet as the tenant means it, with FORWARD as a chain of its own.
func tenantSays(l *netfilter.Layout, packet uint) (drop bool, counts map[uint32]uint64) {
	counts = map[uint32]uint64{}
	var walk func(name string) string
	walk = func(name string) string {
		for _, c := range l.Chains {
			if c.Name != name {
				continue
			}
			for _, r := range c.Rules {
				if !matches(r.Matches, packet) {
					continue
				}
				counts[r.ID]++
				switch {
				case r.Target == "":
				case r.Target == "ACCEPT", r.Target == "DROP", r.Target == "RETURN":
					return r.Target
				case r.Goto:
					return walk(r.Target) // and after its end to where this chain would
				default:
					if v := walk(r.Target); v != "RETURN" {
						return v
					}
				}
			}
		}
		return "RETURN"
	}
	switch walk("FORWARD") {
	case "ACCEPT":
		return false, counts
	case "DROP":
		return true, counts
	}
	counts[netfilter.PolicyID]++
	return l.Drop, counts
}

func matches(text string, packet uint) bool {
	for _, word := range strings.Fields(strings.ReplaceAll(text, "-m p --p", "")) {
		n, err := strconv.Atoi(word)
		if err != nil || packet>>n&1 == 0 {
			return false
		}
	}
	return true
}

// machine judges a packet as iptables does.
type machine struct {
	chains map[string][]string
	in     string
	packet uint
	mark   uint64
	counts map[uint32]uint64
	// depth is how many chains are being walked; iptables ends a packet that is in too many.
	depth int
}

// walk returns whether the packet is dropped.
func (m *machine) walk(name string) (drop bool) {
	if m.depth++; m.depth > 50 {
		panic("chains without end")
	}
	defer func() { m.depth-- }()
	for _, rule := range m.chains[name] {
		words := strings.Fields(rule)
		target, ok := m.match(words)
		if !ok {
			continue
		}
		switch {
		case len(target) == 0:
		case target[1] == "MARK":
			value, mask, _ := strings.Cut(target[3], "/")
			v, _ := strconv.ParseUint(value, 0, 32)
			k, _ := strconv.ParseUint(mask, 0, 32)
			m.mark = m.mark&^k ^ v
		case target[1] == "RETURN":
			return false
		case target[1] == "DROP":
			return true
		case m.walk(target[1]):
			return true
		case target[0] == "-g":
			return false
		}
	}
	return false
}

// match returns the target of a rule, and whether the rule matches.
func (m *machine) match(words []string) (target []string, ok bool) {
	id := -1
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-m":
			i++
		case "--p":
			if i++; !matches(words[i], m.packet) {
				return nil, false
			}
		case "--mark":
			i++
			value, mask, _ := strings.Cut(words[i], "/")
			v, _ := strconv.ParseUint(value, 0, 32)
			k, _ := strconv.ParseUint(mask, 0, 32)
			if m.mark&k != v {
				return nil, false
			}
		case "--comment":
			i++
			id, _ = strconv.Atoi(strings.Trim(strings.TrimPrefix(words[i], `"dwell:`), `"`))
		case "-i":
			if i++; words[i] != m.in {
				return nil, false
			}
		case "-j", "-g":
			target = words[i:]
			i = len(words)
		default:
			panic("unknown word " + words[i])
		}
	}
	if id >= 0 {
		m.counts[uint32(id)]++
	}
	return target, true
}

// layouts draws layouts with chains that do not call themselves.
func layouts() *rapid.Generator[*netfilter.Layout] {
	return rapid.Custom(func(t *rapid.T) *netfilter.Layout {
		l := &netfilter.Layout{
			Family: header.V4, ID: "red", Devices: []string{"br-red"}, Base: "FORWARD",
			Bit: 1 << rapid.IntRange(0, 31).Draw(t, "bit"), Drop: rapid.Bool().Draw(t, "drop"),
		}
		chains := rapid.IntRange(1, 5).Draw(t, "chains")
		id := uint32(0)
		for c := range chains {
			chain := netfilter.Chain{Name: "FORWARD"}
			if c > 0 {
				chain.Name = fmt.Sprintf("c%d", c)
			}
			targets := []string{"", "ACCEPT", "DROP", "RETURN"}
			for to := c + 1; to < chains; to++ {
				targets = append(targets, fmt.Sprintf("c%d", to), fmt.Sprintf("c%d", to))
			}
			for range rapid.IntRange(0, 5).Draw(t, "rules") {
				id++
				r := netfilter.Rule{ID: id, Target: rapid.SampledFrom(targets).Draw(t, "target")}
				if n := rapid.IntRange(-1, 5).Draw(t, "match"); n >= 0 {
					r.Matches = fmt.Sprintf("-m p --p %d", n)
				}
				r.Goto = strings.HasPrefix(r.Target, "c") && rapid.Bool().Draw(t, "goto")
				chain.Rules = append(chain.Rules, r)
			}
			l.Chains = append(l.Chains, chain)
		}
		return l
	})
}

// What is written means what the tenant means, counts what the tenant's rules would count, and
// leaves the packet's mark alone; and a bit that somebody has set does not change it.
func TestMeaning(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := layouts().Draw(rt, "layout")
		chains := map[string][]string{}
		for _, b := range netfilter.Blocks(t, l) {
			chains[b.Name] = b.Lines
		}
		packet, dirty := rapid.Uint().Draw(rt, "packet")&63, rapid.Bool().Draw(rt, "dirty")
		others := rapid.Uint32().Draw(rt, "mark") &^ l.Bit
		for _, way := range []string{"-from", "-to"} {
			m := &machine{chains: chains, in: "eth0", packet: packet, mark: uint64(others), counts: map[uint32]uint64{}}
			if dirty && l.NeedsBit() != "" {
				m.mark |= uint64(l.Bit)
			}
			drop := m.walk("dwell-red" + way)
			wantDrop, want := tenantSays(l, packet)
			if drop != wantDrop {
				rt.Fatalf("%s: dropped: %v, the tenant says %v\n%v", way, drop, wantDrop, chains)
			}
			if fmt.Sprint(m.counts) != fmt.Sprint(want) {
				rt.Fatalf("%s: counts %v, want %v\n%v", way, m.counts, want, chains)
			}
			if !drop && m.mark != uint64(others) {
				rt.Fatalf("%s: mark %#x, was %#x\n%v", way, m.mark, others, chains)
			}
		}
	})
}

// What comes from the tenant is not judged again as what goes to it.
func TestJudgedOnce(t *testing.T) {
	l := many(1)
	l.Drop = true
	chains := map[string][]string{}
	for _, b := range netfilter.Blocks(t, l) {
		chains[b.Name] = b.Lines
	}
	chains["dwell-red"] = []string{"-j DROP"}
	m := &machine{chains: chains, in: "br-red", counts: map[uint32]uint64{}}
	if m.walk("dwell-red-to") {
		t.Error("a packet from the tenant was judged in the chain for packets to it")
	}
	if !m.walk("dwell-red-from") {
		t.Error("a packet from the tenant was not judged")
	}
}
