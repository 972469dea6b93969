// SPDX-License-Identifier: Apache-2.0

package ruleset_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Words of which packets of one connection have many values, and one of which they have one.
func manyWords() []header.Word { return []header.Word{header.Length, header.TTL, header.Dport} }

const manyValues = 4

func manyRules(t *rapid.T) *ruleset.Set {
	set := &ruleset.Set{Family: header.V4, Base: "0", Chains: map[string]*ruleset.Chain{}}
	set.Policy = rapid.SampledFrom([]ruleset.Verdict{ruleset.Pass, ruleset.Drop}).Draw(t, "policy")
	chains, id := rapid.IntRange(1, 3).Draw(t, "chains"), uint32(0)
	value := rapid.Uint32Range(0, manyValues-1)
	for c := range chains {
		chain := &ruleset.Chain{Name: fmt.Sprint(c)}
		for range rapid.IntRange(0, 4).Draw(t, "rules") {
			id++
			r := ruleset.Rule{ID: id, Action: ruleset.Action(rapid.IntRange(0, int(ruleset.Goto)).Draw(t, "action"))}
			for range rapid.IntRange(1, 2).Draw(t, "boxes") {
				var b header.Box
				for _, w := range manyWords() {
					if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
						b[w] = header.SetOf(header.Interval{Lo: value.Draw(t, "lo"), Hi: value.Draw(t, "hi")})
					}
				}
				r.Boxes = append(r.Boxes, b)
			}
			switch rapid.IntRange(0, 19).Draw(t, "kind") {
			case 0:
				r.Action = ruleset.Foreign
			case 1:
				r.Unknown = true
			case 2, 3, 4, 5:
				r.Unknown, r.Fixed = true, true
			case 6, 7:
				r.Action, r.Marks = ruleset.Continue, true
			}
			if r.Action == ruleset.Jump || r.Action == ruleset.Goto {
				if c == chains-1 {
					r.Action = ruleset.Continue
				} else {
					r.Target = fmt.Sprint(rapid.IntRange(c+1, chains-1).Draw(t, "target"))
				}
			}
			chain.Rules = append(chain.Rules, r)
		}
		set.Chains[chain.Name] = chain
	}
	return set
}

// assigned returns the rules if the bits of truth say which of those that are fixed match.
func assigned(set *ruleset.Set, truth uint) (*ruleset.Set, map[uint32]bool) {
	out, marks, n := *set, map[uint32]bool{}, 0
	out.Chains = map[string]*ruleset.Chain{}
	for _, name := range []string{"0", "1", "2"} {
		c := set.Chains[name]
		if c == nil {
			continue
		}
		chain := &ruleset.Chain{Name: name, Rules: slices.Clone(c.Rules)}
		for i := range chain.Rules {
			r := &chain.Rules[i]
			if marks[r.ID] = r.Marks; r.Unknown && r.Fixed {
				if r.Unknown = false; truth>>n&1 == 0 {
					r.Boxes = nil
				}
				n++
			}
		}
		out.Chains[name] = chain
	}
	return &out, marks
}

// What is said of many packets holds for each of them, whatever it is that is not known.
func TestJudgeManyIsTrue(t *testing.T) {
	same := 0
	rapid.Check(t, func(t *rapid.T) {
		set := manyRules(t)
		var region header.Box
		region[header.Length], region[header.TTL] = header.Range(0, 2), header.Values(1, 3)
		region[header.Dport] = header.Values(1)
		got := set.JudgeMany(&ruleset.Many{Box: region})
		if again := ruleset.Prepare(set).JudgeMany(&ruleset.Many{Box: region}); again != got {
			t.Fatalf("%+v, and if prepared %+v", got, again)
		}
		if got.Varies {
			return
		}
		same++
		for truth := range uint(1) << min(fixedRules(set), 8) {
			rules, marks := assigned(set, truth)
			var first *ruleset.Outcome
			for length := range uint32(3) {
				for _, ttl := range []uint32{1, 3} {
					p := &header.Packet{Family: header.V4}
					p.Words[header.Length], p.Words[header.TTL], p.Words[header.Dport] = length, ttl, 1
					o := rules.Judge(p)
					o.Rules = slices.DeleteFunc(o.Rules, func(id uint32) bool { return !marks[id] })
					if first == nil {
						first = &o
					}
					if o.Verdict == ruleset.Defer || o.Verdict != first.Verdict || !slices.Equal(o.Rules, first.Rules) ||
						got.Verdict != ruleset.Defer && got.Verdict != o.Verdict {
						t.Fatalf("%+v of all, but truth %b, length %d, TTL %d: %+v, before %+v", got, truth, length, ttl, o, first)
					}
				}
			}
		}
	})
	if same == 0 {
		t.Error("all packets of all rules are treated differently")
	}
}

func fixedRules(set *ruleset.Set) int {
	n := 0
	for _, c := range set.Chains {
		for i := range c.Rules {
			if c.Rules[i].Unknown && c.Rules[i].Fixed {
				n++
			}
		}
	}
	return n
}

// What rules say of packets that only differ in their length.
func TestJudgeMany(t *testing.T) {
	short := []header.Box{header.Box{}.With(header.Length, header.Range(0, 99))}
	other := []header.Box{header.Box{}.With(header.Dport, header.Values(7))}
	accept := func(id uint32, boxes []header.Box) ruleset.Rule {
		return ruleset.Rule{ID: id, Boxes: boxes, Action: ruleset.Accept}
	}
	fixed := func(r ruleset.Rule) ruleset.Rule {
		r.Unknown, r.Fixed = true, true
		return r
	}
	for name, c := range map[string]struct {
		rules []ruleset.Rule
		want  ruleset.Same
	}{
		"nothing":                       {nil, ruleset.Same{Verdict: ruleset.Drop}},
		"all":                           {[]ruleset.Rule{accept(1, all())}, ruleset.Same{Verdict: ruleset.Pass}},
		"some":                          {[]ruleset.Rule{accept(1, short)}, ruleset.Same{Varies: true, Rule: 1}},
		"some, and the rest":            {[]ruleset.Rule{accept(1, short), accept(2, all())}, ruleset.Same{Verdict: ruleset.Pass}},
		"others":                        {[]ruleset.Rule{{ID: 1, Boxes: other, Action: ruleset.Foreign}}, ruleset.Same{Verdict: ruleset.Drop}},
		"each":                          {[]ruleset.Rule{{ID: 1, Boxes: all(), Action: ruleset.Foreign}}, ruleset.Same{Varies: true, Rule: 1}},
		"each that is left":             {[]ruleset.Rule{accept(1, all()), {ID: 2, Boxes: all(), Action: ruleset.Foreign}}, ruleset.Same{Verdict: ruleset.Pass}},
		"each that may be left":         {[]ruleset.Rule{fixed(accept(1, all())), {ID: 2, Boxes: all(), Action: ruleset.Foreign}}, ruleset.Same{Varies: true, Rule: 2}},
		"not known":                     {[]ruleset.Rule{{ID: 1, Boxes: all(), Unknown: true}}, ruleset.Same{Varies: true, Rule: 1}},
		"not known, but fixed":          {[]ruleset.Rule{fixed(accept(1, all()))}, ruleset.Same{Verdict: ruleset.Defer}},
		"not known, and no matter":      {[]ruleset.Rule{fixed(accept(1, all())), accept(2, all())}, ruleset.Same{Verdict: ruleset.Pass}},
		"not known, of some":            {[]ruleset.Rule{fixed(accept(1, short))}, ruleset.Same{Varies: true, Rule: 1}},
		"a mark of all":                 {[]ruleset.Rule{{ID: 1, Boxes: all(), Marks: true}}, ruleset.Same{Verdict: ruleset.Drop}},
		"a mark of some":                {[]ruleset.Rule{{ID: 1, Boxes: short, Marks: true}}, ruleset.Same{Varies: true, Rule: 1}},
		"a mark of what is not skipped": {[]ruleset.Rule{{ID: 1, Boxes: short, Action: ruleset.Deny}, {ID: 2, Boxes: all(), Marks: true}}, ruleset.Same{Varies: true, Rule: 1}},
		"a count of some":               {[]ruleset.Rule{{ID: 1, Boxes: short}}, ruleset.Same{Verdict: ruleset.Drop}},
		"no chain":                      {[]ruleset.Rule{{ID: 1, Boxes: all(), Action: ruleset.Jump, Target: "none"}}, ruleset.Same{Varies: true, Rule: 1}},
		"a circle":                      {[]ruleset.Rule{{ID: 1, Boxes: all(), Action: ruleset.Jump, Target: "base"}}, ruleset.Same{Varies: true}},
	} {
		t.Run(name, func(t *testing.T) {
			set := rules(ruleset.Drop, map[string][]ruleset.Rule{"base": c.rules})
			got := set.JudgeMany(&ruleset.Many{Box: header.Box{}.With(header.Dport, header.Values(8)).With(header.Length, header.Range(20, 1500))})
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// Many ways to the same place are not gone one after the other.
func TestJudgeManyWays(t *testing.T) {
	chains := map[string][]ruleset.Rule{"base": nil, "a": {{ID: 9, Boxes: all()}}}
	for i := range uint32(3000) {
		chains["base"] = append(chains["base"], ruleset.Rule{ID: 10 + i, Boxes: all(), Unknown: true, Fixed: true, Action: ruleset.Jump, Target: "a"})
	}
	if got := rules(ruleset.Pass, chains).JudgeMany(&ruleset.Many{}); got != (ruleset.Same{Verdict: ruleset.Pass}) {
		t.Errorf("%+v", got)
	}
	none := func(uint32) bool { return false }
	chains["a"][0].Action = ruleset.Foreign
	if got := rules(ruleset.Pass, chains).JudgeMany(&ruleset.Many{May: none}); got.Varies {
		t.Errorf("rules that cannot match matter: %+v", got)
	}
	if got := rules(ruleset.Pass, chains).JudgeMany(&ruleset.Many{}); !got.Varies || got.Rule != 9 {
		t.Errorf("a rule for each packet may be reached: %+v", got)
	}
}
