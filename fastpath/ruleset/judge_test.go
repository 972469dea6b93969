// SPDX-License-Identifier: Apache-2.0

package ruleset_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// all matches every packet, and none no packet.
func all() []header.Box  { return []header.Box{{}} }
func none() []header.Box { return []header.Box{{header.Proto: header.Set{}}} }

func rules(policy ruleset.Verdict, chains map[string][]ruleset.Rule) *ruleset.Set {
	set := &ruleset.Set{Family: header.V4, Base: "base", Policy: policy, Chains: map[string]*ruleset.Chain{}}
	for name, list := range chains {
		set.Chains[name] = &ruleset.Chain{Name: name, Rules: list}
	}
	return set
}

func TestJudge(t *testing.T) {
	count := func(id uint32) ruleset.Rule { return ruleset.Rule{ID: id, Boxes: all()} }
	does := func(id uint32, a ruleset.Action, target string) ruleset.Rule {
		return ruleset.Rule{ID: id, Boxes: all(), Action: a, Target: target}
	}
	tests := map[string]struct {
		chains map[string][]ruleset.Rule
		want   ruleset.Outcome
	}{
		"policy": {
			map[string][]ruleset.Rule{"base": {count(1), {ID: 2, Boxes: none(), Action: ruleset.Accept}}},
			ruleset.Outcome{Verdict: ruleset.Drop, Rules: []uint32{1}},
		},
		"accept": {
			map[string][]ruleset.Rule{"base": {count(1), does(2, ruleset.Accept, ""), does(3, ruleset.Deny, "")}},
			ruleset.Outcome{Verdict: ruleset.Pass, Rules: []uint32{1, 2}, Decider: 2},
		},
		"return in the first chain": {
			map[string][]ruleset.Rule{"base": {does(1, ruleset.Return, ""), does(2, ruleset.Accept, "")}},
			ruleset.Outcome{Verdict: ruleset.Drop, Rules: []uint32{1}},
		},
		"jump comes back": {
			map[string][]ruleset.Rule{
				"base": {does(1, ruleset.Jump, "a"), does(2, ruleset.Accept, "")},
				"a":    {does(3, ruleset.Return, ""), does(4, ruleset.Deny, "")},
			},
			ruleset.Outcome{Verdict: ruleset.Pass, Rules: []uint32{1, 3, 2}, Decider: 2},
		},
		"goto does not come back": {
			map[string][]ruleset.Rule{
				"base": {does(1, ruleset.Goto, "a"), does(2, ruleset.Accept, "")},
				"a":    {count(3)},
			},
			ruleset.Outcome{Verdict: ruleset.Drop, Rules: []uint32{1, 3}},
		},
		"goto comes back to the last jump": {
			map[string][]ruleset.Rule{
				"base": {does(1, ruleset.Jump, "a"), does(2, ruleset.Accept, "")},
				"a":    {does(3, ruleset.Goto, "b"), does(4, ruleset.Deny, "")},
				"b":    {does(5, ruleset.Return, "")},
			},
			ruleset.Outcome{Verdict: ruleset.Pass, Rules: []uint32{1, 3, 5, 2}, Decider: 2},
		},
		"foreign": {
			map[string][]ruleset.Rule{"base": {count(1), does(2, ruleset.Foreign, ""), does(3, ruleset.Accept, "")}},
			ruleset.Outcome{Verdict: ruleset.Defer, Decider: 2},
		},
		"unknown": {
			map[string][]ruleset.Rule{"base": {{ID: 1, Boxes: none(), Unknown: true}, {ID: 2, Boxes: all(), Unknown: true}}},
			ruleset.Outcome{Verdict: ruleset.Defer, Decider: 2},
		},
		"circle": {
			map[string][]ruleset.Rule{"base": {does(1, ruleset.Jump, "base")}},
			ruleset.Outcome{Verdict: ruleset.Defer},
		},
		"chain that is not there": {
			map[string][]ruleset.Rule{"base": {does(1, ruleset.Jump, "a")}},
			ruleset.Outcome{Verdict: ruleset.Defer},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := header.Packet{Family: header.V4}
			if diff := cmp.Diff(test.want, rules(ruleset.Drop, test.chains).Judge(&p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	jump := func(to string) []ruleset.Rule {
		return []ruleset.Rule{{ID: 1, Boxes: all(), Action: ruleset.Jump, Target: to}}
	}
	for want, chains := range map[string]map[string][]ruleset.Rule{
		`there is no chain "base"`:                {"a": nil},
		"in a circle: base, base":                 {"base": jump("base")},
		"in a circle: b, c, b":                    {"base": jump("b"), "b": jump("c"), "c": jump("b")},
		`goes to chain "a", which does not exist`: {"base": jump("a")},
		"": {"base": jump("a"), "a": jump("b"), "b": nil},
	} {
		err := rules(ruleset.Pass, chains).Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if rules(ruleset.Defer, map[string][]ruleset.Rule{"base": nil}).Check() == nil {
		t.Error("a policy that defers")
	}
}

// Without the state a packet is deferred if, and only if, the states do not agree.
func TestStateless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []ruleset.Rule
		for id := range uint32(rapid.IntRange(0, 5).Draw(t, "rules")) {
			r := ruleset.Rule{ID: id + 1, Action: rapid.SampledFrom([]ruleset.Action{
				ruleset.Continue, ruleset.Accept, ruleset.Deny, ruleset.Return, ruleset.Foreign,
			}).Draw(t, "action")}
			for range rapid.IntRange(0, 2).Draw(t, "boxes") {
				var b header.Box
				if rapid.Bool().Draw(t, "state") {
					cut := rapid.SampledFrom([]uint32{0, 1, 2, 4, 40, 63}).Draw(t, "cut")
					b[header.State] = header.Range(0, cut)
					if rapid.Bool().Draw(t, "above") {
						b[header.State] = header.Range(cut, 63)
					}
				}
				if rapid.Bool().Draw(t, "other") {
					b[header.Proto] = header.Values(1)
				}
				r.Boxes = append(r.Boxes, b)
			}
			list = append(list, r)
		}
		policy := rapid.SampledFrom([]ruleset.Verdict{ruleset.Pass, ruleset.Drop}).Draw(t, "policy")
		set := rules(policy, map[string][]ruleset.Rule{"base": list})
		p := header.Packet{Family: header.V4}
		p.Words[header.Proto] = uint32(rapid.IntRange(0, 1).Draw(t, "proto"))
		var fresh []uint32
		if rapid.Bool().Draw(t, "fresh") {
			fresh = []uint32{uint32(header.Invalid), uint32(header.New), uint32(header.Untracked)}
		}
		want, agree := agreed(set, p, header.States())
		if !agree && fresh != nil {
			want, agree = agreed(set, p, fresh)
			agree = agree && want.Verdict == ruleset.Drop
		}
		is := set.JudgeStateless(&p, fresh...)
		if agree != (is.Verdict != ruleset.Defer) || agree && !cmp.Equal(is, want) {
			t.Fatalf("agree %v: %+v, and not %+v", agree, is, want)
		}
	})
}

// agreed returns what the rules say of a packet in all these states, and whether it is the same and not to defer.
func agreed(set *ruleset.Set, p header.Packet, states []uint32) (ruleset.Outcome, bool) {
	var first ruleset.Outcome
	for i, s := range states {
		p.Words[header.State] = s
		o := set.Judge(&p)
		if i == 0 {
			first = o
		}
		if o.Verdict == ruleset.Defer || o.Verdict != first.Verdict || !slices.Equal(o.Rules, first.Rules) {
			return o, false
		}
	}
	return first, true
}
