// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// kind is what becomes of a packet that matches a step.
type kind uint8

const (
	count kind = iota // the next step
	pass
	drop
	leave // deferred
	back  // the end of the body that the step is in
	call  // the body that follows, and then the step after it
	enter // the body that follows, and then the end of the body that the step is in
)

// step is a rule, once for each way that leads to its chain. A chain that is jumped to follows the rule
// that jumps: its body. So control only ever goes forward.
type step struct {
	id   uint32
	kind kind
	// guard is the step in whose body this one is, or -1.
	guard int32
	// end is the step after the body of call and enter.
	end int32
	// box is the first of the step's boxes.
	box int32
}

// box is a box of a step.
type box struct {
	step int32
	// words has a bit for each word that is not free in the box.
	words uint32
	// states are the states in which it matches, for a diagram that does not know them; words then has
	// no bit for State.
	states uint64
	sets   *header.Box
}

// program is a set of rules with its jumps unfolded.
type program struct {
	steps     []step
	boxes     []box
	policy    ruleset.Verdict
	stateless bool
	fresh     uint64
	limit     int
}

// maxSteps bounds what jumps unfold to: chains that jump twice to chains that jump twice, and
// so on, have no end to speak of.
const maxSteps = 1 << 18

func unfold(rules *ruleset.Set, o *Options) (*program, error) {
	p := &program{policy: rules.Policy, stateless: o.Stateless, fresh: header.AllStates(), limit: maxSteps}
	if len(o.Fresh) > 0 {
		p.fresh = header.Values(o.Fresh...).States()
	}
	if len(o.Defer) > 0 {
		p.add(step{kind: leave, guard: -1}, o.Defer)
	}
	if !p.chain(rules, rules.Base, -1) {
		return nil, &TooLargeError{What: "rules, counted for each way to their chain,", Limit: p.limit, Rules: size(rules)}
	}
	return p, nil
}

func size(rules *ruleset.Set) int {
	n := 0
	for _, c := range rules.Chains {
		n += len(c.Rules)
	}
	return n
}

// chain appends the rules of a chain. It is false if there are too many.
func (p *program) chain(rules *ruleset.Set, name string, guard int32) bool {
	chain := rules.Chains[name]
	for i := range chain.Rules {
		r := &chain.Rules[i]
		at := len(p.steps)
		if at >= p.limit {
			return false
		}
		k := kindOf(r)
		if !p.add(step{id: r.ID, kind: k, guard: guard}, r.Boxes) {
			continue
		}
		if k == call || k == enter {
			if !p.chain(rules, r.Target, int32(at)) {
				return false
			}
			p.steps[at].end = int32(len(p.steps))
		}
	}
	return true
}

func kindOf(r *ruleset.Rule) kind {
	if r.Unknown {
		return leave
	}
	switch r.Action {
	case ruleset.Continue:
		return count
	case ruleset.Accept:
		return pass
	case ruleset.Deny:
		return drop
	case ruleset.Return:
		return back
	case ruleset.Jump:
		return call
	case ruleset.Goto:
		return enter
	}
	return leave
}

// add appends a step, unless it can match no packet: then it is false.
func (p *program) add(s step, boxes []header.Box) bool {
	s.box = int32(len(p.boxes))
	for i := range boxes {
		b := box{step: int32(len(p.steps)), sets: &boxes[i]}
		if boxes[i].Empty() {
			continue
		}
		for w, set := range boxes[i] {
			if !set.Covers(header.Word(w).Max()) {
				b.words |= 1 << w
			}
		}
		if p.stateless {
			b.words &^= 1 << header.State
			b.states = boxes[i][header.State].States()
			if b.states == 0 {
				continue
			}
			if s.id == 0 { // premises hold whatever the state
				b.states = header.AllStates()
			}
		}
		p.boxes = append(p.boxes, b)
	}
	if int(s.box) == len(p.boxes) {
		return false
	}
	p.steps = append(p.steps, s)
	return true
}
