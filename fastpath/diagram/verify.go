// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// verifyWork bounds the work of Verify: rules that are asked, of about ten nanoseconds each.
const verifyWork = 20_000_000

// Verify compares the diagram with the interpreter, [ruleset.Set.Judge] or JudgeStateless, and says how
// they differ. It leads a packet along each branch of each node, once at the lower end
// of the branch's interval and once at the upper one, and tries packets at the corners of each rule and beside
// them. As the interpreter asks rule after rule, it has time for some thousand packets only if there are
// 10,000 rules; seed then says for which.
func (d *Diagram) Verify(rules *ruleset.Set, o Options, seed uint64) error {
	v := newVerifier(rules, o, seed)
	budget := max(verifyWork/(len(v.boxes)+1)/2, 100)
	for range min(budget, 64*len(v.boxes)+100) {
		p := v.draw()
		if err := d.compare(rules, o, &p); err != nil {
			return err
		}
	}
	v.up = d.parents()
	ways := d.ways()
	v.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
	for _, w := range ways[:min(len(ways), budget/2)] {
		for _, upper := range []bool{false, true} {
			p := v.lead(d, w, upper)
			if err := d.compare(rules, o, &p); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare returns an error if diagram and interpreter differ about a packet.
func (d *Diagram) compare(rules *ruleset.Set, o Options, p *header.Packet) error {
	_, is := d.Judge(p)
	if want := expect(rules, o, p); !equal(is, want) {
		return fmt.Errorf("the diagram says %+v and the rules say %+v of the packet %+v", is, want, p.Words)
	}
	return nil
}

// expect returns what the interpreter says of a packet under the options.
func expect(rules *ruleset.Set, o Options, p *header.Packet) ruleset.Outcome {
	for i := range o.Defer {
		if o.Stateless && o.Defer[i].StatesOf(p) != 0 || !o.Stateless && o.Defer[i].Has(p) {
			return ruleset.Outcome{Verdict: ruleset.Defer}
		}
	}
	if o.Stateless {
		return rules.JudgeStateless(p, o.Fresh...)
	}
	return rules.Judge(p)
}

// equal reports whether two outcomes are the same.
func equal(a, b ruleset.Outcome) bool {
	return a.Verdict == b.Verdict && a.Decider == b.Decider && slices.Equal(a.Rules, b.Rules)
}

// verifier draws packets.
type verifier struct {
	*rand.Rand
	family header.Family
	boxes  []*header.Box
	// at is how many boxes have been drawn, in a random order.
	at int
	// up is a way to each node.
	up []way
}

func newVerifier(rules *ruleset.Set, o Options, seed uint64) *verifier {
	v := &verifier{Rand: rand.New(rand.NewPCG(seed, 0)), family: rules.Family}
	for i := range o.Defer {
		v.boxes = append(v.boxes, &o.Defer[i])
	}
	for _, name := range slices.Sorted(maps.Keys(rules.Chains)) {
		for i := range rules.Chains[name].Rules {
			r := &rules.Chains[name].Rules[i]
			for j := range r.Boxes {
				v.boxes = append(v.boxes, &r.Boxes[j])
			}
		}
	}
	v.Shuffle(len(v.boxes), func(i, j int) { v.boxes[i], v.boxes[j] = v.boxes[j], v.boxes[i] })
	return v
}

// draw returns a packet near a corner of the next box. Words that are free there are those of another box.
func (v *verifier) draw() header.Packet {
	p := header.Packet{Family: v.family}
	near, other := v.box(v.at), v.box(v.IntN(max(len(v.boxes), 1)))
	v.at++
	// Most words are inside, so that not all packets miss.
	outside := -1
	if v.IntN(2) == 0 {
		outside = v.IntN(int(header.Words))
	}
	for w := range header.Words {
		s := near[w]
		if len(s) == 0 || int(w) == outside && v.IntN(2) == 0 {
			s = other[w]
		}
		p.Words[w] = v.value(w, s, int(w) == outside)
	}
	return p
}

func (v *verifier) box(i int) *header.Box {
	if len(v.boxes) == 0 {
		return &header.Box{}
	}
	return v.boxes[i%len(v.boxes)]
}

// value returns an end of an interval or, if it is to be outside, the value next to it.
func (v *verifier) value(w header.Word, s header.Set, outside bool) uint32 {
	if w == header.State {
		states := header.States()
		return states[v.IntN(len(states))]
	}
	if len(s) == 0 {
		return v.Uint32N(w.Max()) + v.Uint32N(2)
	}
	in := s[v.IntN(len(s))]
	lo, hi := in.Lo, in.Hi
	if outside {
		lo, hi = lo-min(lo, 1), hi+min(w.Max()-min(hi, w.Max()), 1)
	}
	if v.IntN(2) == 0 {
		return min(lo, w.Max())
	}
	return min(hi, w.Max())
}
