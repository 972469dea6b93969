// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The words that rules of these tests look at, and so few values that all packets can be tried.
func words() []header.Word {
	return []header.Word{header.Proto, header.Src0, header.Dport, header.State, header.Origin}
}

const values = 3 // of the first three words

// edges has more than the words' smallest values: intervals that begin at 0, end at the largest
// value, or are one value.
func drawSet(t *rapid.T, w header.Word) header.Set {
	if w == header.State {
		// That is, also those that no fresh packet has.
		if rapid.Bool().Draw(t, "of a connection") {
			return header.Values(uint32(header.Established), uint32(header.Related))
		}
		return header.Values(rapid.SliceOfN(rapid.SampledFrom(header.States()), 0, 26).Draw(t, "states")...)
	}
	ends := rapid.SampledFrom([]uint32{0, 1, 2, w.Max()})
	var in []header.Interval
	for range rapid.IntRange(1, 2).Draw(t, "intervals") {
		in = append(in, header.Interval{Lo: ends.Draw(t, "lo"), Hi: ends.Draw(t, "hi")})
	}
	return header.SetOf(in...)
}

func drawBoxes(t *rapid.T, least int) []header.Box {
	boxes := make([]header.Box, rapid.IntRange(least, 2).Draw(t, "boxes"))
	for i := range boxes {
		for _, w := range words() {
			if rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				boxes[i][w] = drawSet(t, w)
			}
		}
	}
	return boxes
}

// drawRules draws chains that only go to later ones.
func drawRules(t *rapid.T) *ruleset.Set {
	set := &ruleset.Set{
		Family: header.V4,
		Base:   "0",
		Policy: rapid.SampledFrom([]ruleset.Verdict{ruleset.Pass, ruleset.Drop}).Draw(t, "policy"),
		Chains: map[string]*ruleset.Chain{},
	}
	chains, id := rapid.IntRange(1, 4).Draw(t, "chains"), uint32(0)
	for c := range chains {
		chain := &ruleset.Chain{Name: fmt.Sprint(c)}
		for range rapid.IntRange(0, 5).Draw(t, "rules") {
			id++
			r := ruleset.Rule{ID: id, Boxes: drawBoxes(t, 0), Unknown: rapid.IntRange(0, 15).Draw(t, "unknown") == 15}
			r.Action = ruleset.Action(rapid.IntRange(0, int(ruleset.Foreign)).Draw(t, "action"))
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

// packets calls f for all packets of the small space.
func packets(f func(header.Packet)) {
	for i := range values * values * values * 2 {
		p := header.Packet{Family: header.V4}
		p.Words[header.Proto] = uint32(i % values)
		p.Words[header.Src0] = uint32(i / values % values)
		p.Words[header.Dport] = uint32(i / values / values % values)
		p.Words[header.Origin] = uint32(i / values / values / values)
		if p.Words[header.Src0] == 2 {
			p.Words[header.Src0] = 0xffffffff
		}
		for _, s := range header.States() {
			p.Words[header.State] = s
			f(p)
		}
	}
}

func equal(a, b ruleset.Outcome) bool {
	return a.Verdict == b.Verdict && a.Decider == b.Decider && slices.Equal(a.Rules, b.Rules)
}

// A diagram says of every packet what the rules say, one after the other.
func TestEqualsInterpreter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		o := diagram.Options{Stateless: rapid.Bool().Draw(t, "stateless")}
		if o.Stateless && rapid.Bool().Draw(t, "fresh") {
			o.Fresh = []uint32{uint32(header.Invalid), uint32(header.New), uint32(header.Untracked)}
		}
		if rapid.IntRange(0, 3).Draw(t, "premises") == 0 {
			o.Defer = drawBoxes(t, 1)
		}
		d, err := diagram.Compile(rules, o)
		if err != nil {
			t.Fatal(err)
		}
		packets(func(p header.Packet) {
			want := rules.Judge(&p)
			if o.Stateless {
				want = rules.JudgeStateless(&p, o.Fresh...)
			}
			if deferred(o, p) {
				want = ruleset.Outcome{Verdict: ruleset.Defer}
			}
			if leaf, is := d.Judge(&p); !equal(is, want) {
				t.Fatalf("packet %v: leaf %d is %+v, and the rules say %+v", p.Words, leaf, is, want)
			}
		})
		if err := d.Verify(rules, o, 1); err != nil {
			t.Fatal(err)
		}
	})
}

// deferred tries all states if they are not known.
func deferred(o diagram.Options, p header.Packet) bool {
	states := []uint32{p.Words[header.State]}
	if o.Stateless {
		states = header.States()
	}
	for _, s := range states {
		p.Words[header.State] = s
		if slices.ContainsFunc(o.Defer, func(b header.Box) bool { return b.Has(&p) }) {
			return true
		}
	}
	return false
}

// What is wrong in a diagram is found before it is loaded.
func TestVerifyFindsFault(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		d, err := diagram.Compile(rules, diagram.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Nodes) == 0 {
			t.Skip("there is nothing that could be wrong")
		}
		n := &d.Nodes[rapid.IntRange(0, len(d.Nodes)-1).Draw(t, "node")]
		for slot := range diagram.Cuts + 1 {
			n[1+diagram.Cuts+slot] = diagram.LeafBit
		}
		if d.Verify(rules, diagram.Options{}, 1) == nil {
			t.Fatal("nothing found")
		}
	})
}

// A rule that looks at the state counts only for packets that come to it: here not for those that are not in
// the chain.
func TestStateInChain(t *testing.T) {
	established := []header.Box{{header.State: header.Values(uint32(header.Established))}}
	rules := &ruleset.Set{Family: header.V4, Base: "base", Chains: map[string]*ruleset.Chain{
		"base": {Rules: []ruleset.Rule{
			{ID: 1, Action: ruleset.Jump, Target: "chain", Boxes: []header.Box{{header.Src0: header.Values(1)}}},
			{ID: 2, Boxes: established},
		}},
		"chain": {Rules: []ruleset.Rule{{ID: 3, Boxes: established}}},
	}}
	o := diagram.Options{Stateless: true, Fresh: []uint32{uint32(header.New)}}
	d, err := diagram.Compile(rules, o)
	if err != nil {
		t.Fatal(err)
	}
	for source, first := range map[uint32]uint32{0: 2, 1: 3} {
		p := header.Packet{Family: header.V4}
		p.Words[header.Src0] = source
		if _, is := d.Judge(&p); is.Verdict != ruleset.Defer || is.Decider != first {
			t.Errorf("source %d: %+v", source, is)
		}
	}
}
