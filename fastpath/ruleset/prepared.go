// SPDX-License-Identifier: Apache-2.0

package ruleset

import "github.com/dwelltrace/dwell/fastpath/header"

// Prepared is rules that are asked about many packets often: what is known of all packets is compared with the
// bounds of each rule first, which takes about a nanosecond.
type Prepared struct {
	set    *Set
	bounds map[*Chain]*bounds
}

// bounds are, for each rule, between which values words are of packets that it matches. Ports come first:
// they differ most.
type bounds struct {
	ports []portBounds
	more  [][len(moreWords)]header.Interval
}

type portBounds struct{ sportLo, sportHi, dportLo, dportHi uint16 }

var moreWords = [...]header.Word{header.Proto, header.Dst0, header.Src0}

// Prepare prepares rules, which must not be modified any more.
func Prepare(s *Set) *Prepared {
	p := &Prepared{set: s, bounds: map[*Chain]*bounds{}}
	for _, c := range s.Chains {
		of := &bounds{}
		for i := range c.Rules {
			of.add(c.Rules[i].Boxes)
		}
		p.bounds[c] = of
	}
	return p
}

// JudgeMany is [Set.JudgeMany].
func (p *Prepared) JudgeMany(m *Many) Same {
	j := many{set: p.set, may: m.May, left: DefaultSteps, bounds: p.bounds}
	j.of.add([]header.Box{m.Box})
	return j.same(m)
}

// add adds the bounds of a rule.
func (b *bounds) add(boxes []header.Box) {
	sport, dport := hull(boxes, header.Sport), hull(boxes, header.Dport)
	b.ports = append(b.ports, portBounds{uint16(sport.Lo), uint16(sport.Hi), uint16(dport.Lo), uint16(dport.Hi)})
	var more [len(moreWords)]header.Interval
	for i, w := range moreWords {
		more[i] = hull(boxes, w)
	}
	b.more = append(b.more, more)
}

// hull returns the smallest and the largest value that a word has in any of the boxes.
func hull(boxes []header.Box, w header.Word) header.Interval {
	out := header.Interval{Lo: w.Max(), Hi: 0}
	for b := range boxes {
		in := header.Interval{Lo: 0, Hi: w.Max()}
		if s := boxes[b][w]; len(s) > 0 {
			in = header.Interval{Lo: s[0].Lo, Hi: min(s[len(s)-1].Hi, w.Max())}
		}
		out = header.Interval{Lo: min(out.Lo, in.Lo), Hi: max(out.Hi, in.Hi)}
	}
	return out
}

// next returns the place of the first rule from at on whose bounds the packets meet, or how many there are.
func (b *bounds) next(of *bounds, at int) int {
	p, more := of.ports[0], &of.more[0]
	for ; at < len(b.ports); at++ {
		r := &b.ports[at]
		if r.dportLo > p.dportHi || r.dportHi < p.dportLo || r.sportLo > p.sportHi || r.sportHi < p.sportLo {
			continue
		}
		meet := true
		for i, in := range b.more[at] {
			meet = meet && in.Lo <= more[i].Hi && in.Hi >= more[i].Lo
		}
		if meet {
			return at
		}
	}
	return at
}
