// SPDX-License-Identifier: Apache-2.0

package approval

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// The flow that is asked about: from port 6 of tenant 77 to the NIC, with its source translated.
func drawnFlow(proto uint8) (forth, back *flow.Flow) {
	before := flow.Tuple{Proto: proto, Src: netip.MustParseAddr("192.168.0.10"), Dst: netip.MustParseAddr("203.0.113.8"), Sport: 40000, Dport: 80}
	if proto == header.ICMP {
		before.Sport, before.Dport = 7, 8<<8
	}
	after := before
	after.Src = netip.MustParseAddr("198.51.100.1")
	forth = &flow.Flow{Key: flow.Key{IfIndex: 6, Tuple: before}, Slot: 1, Tracked: true, Rewrite: flow.Rewrite{After: after, Out: 2, Routed: true, TOS: 0x28}}
	back = &flow.Flow{Key: forth.Back(), Slot: 1, Tracked: true, Reply: true, Rewrite: flow.Rewrite{Out: 6, Routed: true, TOS: 0x28}}
	back.Rewrite.After = back.Key.Tuple
	back.Rewrite.After.Dst = before.Src
	return forth, back
}

// drawWord draws values of a word that distinguish packets of these flows, or flows.
func drawWord(t *rapid.T, w header.Word) header.Set {
	pick := func(sets ...header.Set) header.Set {
		return sets[rapid.IntRange(0, len(sets)-1).Draw(t, "values")]
	}
	masked := func(value, mask uint32) header.Set {
		s, _ := header.Masked(value, mask, 0xff, 256)
		return s
	}
	switch w {
	case header.Proto:
		return pick(header.Values(header.TCP), header.Values(header.TCP, header.UDP), header.Values(header.ICMP))
	case header.Src0, header.Dst0:
		a := func(text string) header.Set { return header.Values(header.AddressWords(netip.MustParseAddr(text))[0]) }
		return pick(a("192.168.0.10"), a("198.51.100.1"), a("203.0.113.8"), a("192.0.2.1"))
	case header.Dport:
		return pick(header.Values(80), header.Range(1, 50000), header.Values(0))
	case header.Flags:
		return pick(masked(0x10, 0x17), masked(0x08, 0x08), masked(0x02, 0x12), masked(0, 0x08), masked(0x40, 0x40))
	case header.TOS:
		return pick(masked(0x28, 0xfc), masked(0x03, 0x03), masked(0x20, 0xfc), header.Range(0x28, 0x29))
	case header.Length:
		return pick(header.Range(0, 99), header.Range(0, 27), header.Range(28, 65535), header.Values(1500))
	case header.TTL:
		return pick(header.Range(0, 0), header.Range(1, 255), header.Range(0, 63), header.Values(255))
	}
	established := func(bits uint32) uint32 { return header.StateOf(header.Established, bits) }
	return pick(header.Values(header.StateOf(header.New, 0)), header.Values(0, established(header.StateReply|header.StateSNAT)),
		header.Values(established(header.StateSNAT), established(header.StateReply|header.StateSNAT)))
}

func drawBoxes(t *rapid.T) []header.Box {
	boxes := make([]header.Box, rapid.IntRange(1, 2).Draw(t, "boxes"))
	for i := range boxes {
		for _, w := range []header.Word{header.Proto, header.Src0, header.Dst0, header.Dport, header.Flags, header.TOS, header.Length, header.TTL, header.State} {
			if rapid.IntRange(0, 4).Draw(t, "limited") == 0 {
				boxes[i][w] = drawWord(t, w)
			}
		}
	}
	return boxes
}

// drawRules draws chains that only go to later ones.
func drawRules(t *rapid.T) *ruleset.Set {
	set := &ruleset.Set{Family: header.V4, Base: "0", Chains: map[string]*ruleset.Chain{}}
	set.Policy = rapid.SampledFrom([]ruleset.Verdict{ruleset.Pass, ruleset.Drop}).Draw(t, "policy")
	chains, id := rapid.IntRange(1, 3).Draw(t, "chains"), uint32(0)
	for c := range chains {
		chain := &ruleset.Chain{Name: fmt.Sprint(c)}
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			id++
			r := ruleset.Rule{ID: id, Boxes: drawBoxes(t), Action: ruleset.Action(rapid.IntRange(0, int(ruleset.Goto)).Draw(t, "action"))}
			switch rapid.IntRange(0, 15).Draw(t, "kind") {
			case 0:
				r.Action = ruleset.Foreign
			case 1:
				r.Unknown = true
			case 2, 3, 4:
				r.Unknown, r.Fixed = true, true
			case 5:
				r.Action, r.Marks = ruleset.Continue, true
			}
			if r.Action == ruleset.Jump || r.Action == ruleset.Goto {
				if r.Target = fmt.Sprint(c + 1); c == chains-1 {
					r.Action, r.Target = ruleset.Continue, ""
				}
			}
			chain.Rules = append(chain.Rules, r)
		}
		set.Chains[chain.Name] = chain
	}
	return set
}

// samples are packets that the fast path may send.
func samples(b *header.Box) []header.Packet {
	var packets []header.Packet
	first := header.Packet{Family: header.V4}
	for w, s := range b {
		first.Words[w] = s[0].Lo
	}
	for _, flags := range b[header.Flags] {
		for _, length := range []uint32{b[header.Length][0].Lo, 99, 100, 1500, 65535} {
			for _, ttl := range []uint32{1, 63, 64, 255} {
				for ecn := range uint32(4) {
					p := first
					p.Words[header.Flags], p.Words[header.Length], p.Words[header.TTL] = flags.Lo, length, ttl
					p.Words[header.TOS] += ecn
					packets = append(packets, p)
				}
			}
		}
	}
	return packets
}

// alike fails unless rules treat all packets alike, whatever it is that is not known but fixed.
// A tenant's own rules (pass) do not mark packets, and if all is known, must let them pass.
func alike(t *rapid.T, set *ruleset.Set, b *header.Box, pass bool) {
	var fixed []*ruleset.Rule
	for _, name := range []string{"0", "1", "2"} {
		if c := set.Chains[name]; c != nil {
			for i := range c.Rules {
				if c.Rules[i].Unknown && c.Rules[i].Fixed {
					fixed = append(fixed, &c.Rules[i])
				}
			}
		}
	}
	for _, r := range fixed {
		kept := *r
		defer func() { *r = kept }()
		if r.Unknown = false; !rapid.Bool().Draw(t, "truth") {
			r.Boxes = nil
		}
	}
	packets := samples(b)
	first := set.Judge(&packets[0])
	for i := range packets {
		o := set.Judge(&packets[i])
		if o.Verdict == ruleset.Defer || o.Verdict != first.Verdict || pass && len(fixed) == 0 && o.Verdict != ruleset.Pass ||
			!pass && !slices.Equal(marked(set, &o), marked(set, &first)) {
			t.Fatalf("approved, but %+v is %+v, and another %+v", packets[i], o, first)
		}
	}
}

// marked are the rules of the outcome that mark packets.
func marked(set *ruleset.Set, o *ruleset.Outcome) []uint32 {
	return slices.DeleteFunc(slices.Clone(o.Rules), func(id uint32) bool {
		for _, c := range set.Chains {
			for i := range c.Rules {
				if c.Rules[i].ID == id {
					return !c.Rules[i].Marks
				}
			}
		}
		return true
	})
}

type drawn struct {
	set     *ruleset.Set
	forward *diagram.Diagram
}

func (d *drawn) InForce(uint32, header.Family) (*ruleset.Set, *diagram.Diagram, bool) {
	return d.set, d.forward, true
}

// Whatever rules there are: all packets of a flow that is approved are treated alike.
func TestApprovedIsAlike(t *testing.T) {
	approved := 0
	rapid.Check(t, func(t *rapid.T) {
		forth, back := drawnFlow(rapid.SampledFrom([]uint8{header.TCP, header.UDP, header.ICMP}).Draw(t, "protocol"))
		point := rapid.SampledFrom([]premises.Point{premises.Prerouting, premises.Forward, premises.Postrouting}).Draw(t, "point")
		others := drawRules(t)
		notes := map[uint32]*premises.Note{}
		for _, c := range others.Chains {
			for _, r := range c.Rules {
				notes[r.ID] = &premises.Note{Rule: "a rule"}
			}
		}
		p := &Policy{
			host:  &scope.Host{Tenants: []scope.Tenant{{ID: "red", Number: 77, Ports: []scope.Port{{Index: 6}}}}},
			slots: map[uint16]uint32{1: 77}, paths: map[pathKey][]path{},
		}
		if kept := pruned(&premises.Path{Point: point, Rules: others, Notes: notes}, tracked); kept != nil {
			p.paths[pathKey{header.V4, tracked}] = []path{*kept}
		}
		own := &drawn{set: drawRules(t)}
		if rapid.Bool().Draw(t, "compiled") {
			var err error
			if own.forward, err = diagram.Compile(own.set, diagram.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		p.own = ownOf(own, p.slots)
		if !p.Judge(forth, back).OK {
			return
		}
		approved++
		for _, f := range []*flow.Flow{forth, back} {
			d := p.direction(f)
			state := d.states()[0]
			before, after := f.Key.Tuple, f.Rewrite.After
			own1 := d.packets(before, after, state)
			if own1[header.Origin] = header.Values(header.To); f == forth {
				own1[header.Origin] = header.Values(header.From)
			}
			alike(t, own.set, &own1, true)
			places := map[premises.Point][][2]flow.Tuple{
				premises.Prerouting: {{before, before}, {before, after}}, premises.Forward: {{before, after}},
				premises.Postrouting: {{before, after}, {after, after}},
			}
			for _, at := range places[point] {
				b := d.packets(at[0], at[1], state)
				b[header.Origin] = header.Values(header.To)
				alike(t, others, &b, false)
			}
		}
	})
	if approved == 0 {
		t.Error("nothing was approved")
	}
}
