// SPDX-License-Identifier: Apache-2.0

package ruleset

import "github.com/dwelltrace/dwell/fastpath/header"

// Many is packets that are asked about at once: those of one connection in one direction.
type Many struct {
	// Box is the packets. Words that are the same for all have one value.
	Box header.Box
	// May says whether a rule that is Unknown and Fixed may match the packets at all. If it is nil,
	// each may.
	May func(id uint32) bool
}

// Same is what rules say of many packets.
type Same struct {
	// Varies: the rule with the ID may treat some of the packets in another way than others, or does
	// something with each that cannot be left out, or there are too many ways to say.
	Varies bool
	Rule   uint32
	// Verdict is what becomes of all packets, if not Varies. Defer: all pass or all are dropped, but it is
	// not known which.
	Verdict Verdict
}

// DefaultSteps is how many rules [Set.JudgeMany] asks at most, which takes some milliseconds.
const DefaultSteps = 50_000

// maxNested bounds how deep chains, and differences that may not matter, are followed.
const maxNested = 10_000

// JudgeMany asks the rules whether they treat all packets alike. What a rule does that is neither to judge
// nor to count, and so is not known here ([Foreign]), must be done to each packet, so such a rule
// treats them differently. It errs towards saying that they do.
func (s *Set) JudgeMany(m *Many) Same {
	j := many{set: s, may: m.May, left: DefaultSteps}
	return j.same(m)
}

func (j *many) same(m *Many) Same {
	base := j.set.Chains[j.set.Base]
	if base == nil {
		return Same{Varies: true}
	}
	region := m.Box
	r := j.run(place{chain: base}, &region, 0)
	if r.varies {
		return Same{Varies: true, Rule: r.rule}
	}
	if !r.certain {
		return Same{Verdict: Defer}
	}
	return Same{Verdict: r.verdict}
}

// place is where judging goes on: at a rule of a chain, and at up when that ends.
type place struct {
	chain *Chain
	at    int
	up    *place
}

// fate is what becomes of packets from a place on.
type fate struct {
	varies  bool
	rule    uint32
	verdict Verdict
	certain bool
	// marks are the rules that mark the packets, in order, as a hash.
	marks uint64
}

func varying(id uint32) fate { return fate{varies: true, rule: id} }

// marked is the fate of packets that a rule marks first.
func (f fate) marked(marks []uint32) fate {
	for i := len(marks) - 1; i >= 0; i-- {
		f.marks = (f.marks ^ uint64(marks[i])) * 0x9e3779b97f4a7c15
	}
	return f
}

// either is the fate of packets that all have one of two fates.
func (f fate) either(o fate) fate {
	if f.varies || o.varies {
		if f.varies {
			return f
		}
		return o
	}
	if f != o {
		f.certain = false
	}
	return f
}

// any is the fate of packets that have it, or all have another.
func (f fate) any(others []fate) fate {
	for _, o := range others {
		f = f.either(o)
	}
	return f
}

type many struct {
	set  *Set
	may  func(uint32) bool
	left int
	// bounds are those of all rules, and of those of all packets, if the rules are prepared.
	bounds map[*Chain]*bounds
	of     bounds
	// places has each place once, and known what becomes of packets from there. Both are only needed once
	// there are several ways to a place.
	places map[place]*place
	known  map[visited]fate
}

type visited struct {
	from   place
	region *header.Box
}

// intern returns the place's only copy.
func (j *many) intern(p place) *place {
	if j.places == nil {
		j.places = map[place]*place{}
	}
	if at := j.places[p]; at != nil {
		return at
	}
	j.places[p] = &p
	return &p
}

// run returns what becomes of packets.
func (j *many) run(p place, region *header.Box, depth int) fate {
	if depth > maxNested {
		return varying(0)
	}
	key := visited{p, region}
	if f, known := j.known[key]; known {
		return f
	}
	f := j.rules(p, region, depth)
	if depth > 0 {
		if j.known == nil {
			j.known = map[visited]fate{}
		}
		j.known[key] = f
	}
	return f
}

func (j *many) rules(p place, region *header.Box, depth int) fate {
	var marks []uint32
	var others []fate // of packets that rules match of which it is not known whether they do
	all := j.bounds[p.chain]
	for ; p.at < len(p.chain.Rules); p.at++ {
		if all != nil {
			if p.at = all.next(&j.of, p.at); p.at == len(p.chain.Rules) {
				break
			}
		}
		r := &p.chain.Rules[p.at]
		if j.left--; j.left < 0 {
			return varying(r.ID)
		}
		some, whole := r.meets(region)
		if !some || r.Unknown && r.Fixed && j.may != nil && !j.may(r.ID) {
			continue
		}
		if r.Unknown && !r.Fixed || r.Action >= Foreign || r.Marks && !whole {
			return varying(r.ID)
		}
		if r.Action == Continue {
			if r.Marks {
				marks = append(marks, r.ID)
			}
			continue
		}
		next := place{p.chain, p.at + 1, p.up}
		switch {
		case !whole:
			return j.split(r, next, region, depth).marked(marks).any(others)
		case r.Unknown && (r.Action == Jump || r.Action == Goto): // what comes after is known when both come there
			return j.act(r, next, region, depth).either(j.run(next, region, depth+1)).marked(marks).any(others)
		case r.Unknown:
			others = append(others, j.act(r, next, region, depth).marked(marks))
		default:
			return j.act(r, next, region, depth).marked(marks).any(others)
		}
	}
	return j.end(p.up, region, depth).marked(marks).any(others)
}

// end is what becomes of packets at the end of a chain.
func (j *many) end(up *place, region *header.Box, depth int) fate {
	if up == nil {
		return fate{verdict: j.set.Policy, certain: true}
	}
	return j.run(*up, region, depth+1)
}

// act is what becomes of packets that a rule matches.
func (j *many) act(r *Rule, next place, region *header.Box, depth int) fate {
	switch r.Action {
	case Accept:
		return fate{verdict: Pass, certain: true}
	case Deny:
		return fate{verdict: Drop, certain: true}
	case Return:
		return j.end(next.up, region, depth)
	case Jump, Goto:
		to := j.set.Chains[r.Target]
		if to == nil {
			return varying(r.ID)
		}
		up := next.up
		if r.Action == Jump {
			up = j.intern(next)
		}
		return j.run(place{chain: to, up: up}, region, depth+1)
	}
	return varying(r.ID)
}

// split is what becomes of packets of which a rule only matches some: it must be the same.
func (j *many) split(r *Rule, next place, region *header.Box, depth int) fate {
	var all *fate
	add := func(f fate) bool {
		if f.varies || !f.certain || all != nil && f != *all {
			return false
		}
		all = &f
		return true
	}
	for _, in := range header.IntersectBoxes([]header.Box{*region}, r.Boxes) {
		f := j.act(r, next, &in, depth)
		if r.Unknown {
			f = f.either(j.run(next, &in, depth+1))
		}
		if !add(f) {
			return varying(r.ID)
		}
	}
	for _, out := range header.SubtractBoxes([]header.Box{*region}, r.Boxes) {
		if !add(j.run(next, &out, depth+1)) {
			return varying(r.ID)
		}
	}
	return *all
}

// meets reports whether the rule matches some of the packets and, as far as is seen at once, all.
func (r *Rule) meets(region *header.Box) (some, all bool) {
	for i := range r.Boxes {
		in, whole := within(&r.Boxes[i], region)
		if some = some || in; whole {
			return true, true
		}
	}
	return some, false
}

// within reports whether a box has some of the region's packets, and whether it has all.
func within(b, region *header.Box) (some, all bool) {
	all = true
	for w := range b {
		s, in := b[w], region[w]
		switch {
		case s == nil:
		case len(in) == 1 && in[0].Lo == in[0].Hi:
			if !s.Has(in[0].Lo) {
				return false, false
			}
		default:
			both := s.Intersect(in)
			if both.Empty() {
				return false, false
			}
			all = all && in.Subtract(s, header.Word(w).Max()).Empty()
		}
	}
	return true, all
}
