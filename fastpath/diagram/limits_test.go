// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// oneChain returns n rules in one chain.
func oneChain(n int, action ruleset.Action, box func(i uint32) header.Box) *ruleset.Set {
	chain := &ruleset.Chain{Name: "base"}
	for i := range uint32(n) {
		chain.Rules = append(chain.Rules, ruleset.Rule{ID: i + 1, Action: action, Boxes: []header.Box{box(i)}})
	}
	return &ruleset.Set{Family: header.V4, Base: "base", Chains: map[string]*ruleset.Chain{"base": chain}}
}

// sources returns rules for a source each.
func sources(n int) *ruleset.Set {
	return oneChain(n, ruleset.Accept, func(i uint32) header.Box { return header.Box{header.Src0: header.Values(2 * i)} })
}

// overlapping returns rules that meet each other in four words.
func overlapping(n int) *ruleset.Set {
	g := rand.New(rand.NewPCG(1, 1))
	return oneChain(n, ruleset.Accept, func(uint32) (b header.Box) {
		for _, w := range []header.Word{header.Src0, header.Dst0, header.Sport, header.Dport} {
			lo := g.Uint32N(w.Max() / 2)
			b[w] = header.Range(lo, lo+w.Max()/2)
		}
		return b
	})
}

// counting returns rules of which half match a packet, and all let it go on.
func counting(n int) *ruleset.Set {
	return oneChain(n, ruleset.Continue, func(i uint32) header.Box {
		return header.Box{header.Src0: header.Range(i, i+uint32(n)/2)}
	})
}

// doubling returns chains each of which jumps twice to the next.
func doubling(chains int) *ruleset.Set {
	set := sources(1)
	for i := range chains {
		name, next := fmt.Sprint(i), fmt.Sprint(i+1)
		if i == 0 {
			name = set.Base
		}
		jump := ruleset.Rule{ID: 1, Boxes: []header.Box{{}}, Action: ruleset.Jump, Target: next}
		set.Chains[name] = &ruleset.Chain{Name: name, Rules: []ruleset.Rule{jump, jump}}
		set.Chains[next] = &ruleset.Chain{Name: next}
	}
	return set
}

// comb returns a rule that matches every other value of each word that has so many.
func comb(intervals uint32) *ruleset.Set {
	return oneChain(1, ruleset.Accept, func(uint32) (b header.Box) {
		for w := range header.Words {
			for v := uint32(1); v <= min(w.Max(), 2*intervals) && w.Max() > 255; v += 2 {
				b[w] = append(b[w], header.Interval{Lo: v, Hi: v})
			}
		}
		return b
	})
}

// A diagram that would be too large says what was too large, and says so soon.
func TestTooLarge(t *testing.T) {
	for what, test := range map[string]struct {
		rules   *ruleset.Set
		options diagram.Options
	}{
		"bytes of nodes":                              {sources(100), diagram.Options{MaxBytes: 12 * diagram.NodeBytes}},
		"different outcomes":                          {sources(100), diagram.Options{MaxLeaves: 99}},
		"steps of work":                               {overlapping(1000), diagram.Options{MaxWork: 5_000_000}},
		"rules to count in all outcomes together":     {counting(10000), diagram.Options{}},
		"rules, counted for each way to their chain,": {doubling(20), diagram.Options{}},
		"nodes on a packet's way":                     {comb(40000), diagram.Options{}},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := diagram.Compile(test.rules, test.options)
			var large *diagram.TooLargeError
			if !errors.As(err, &large) || large.What != what || large.Rules == 0 {
				t.Errorf("error is %v", err)
			}
		})
	}
	for name, rules := range map[string]*ruleset.Set{
		"sources": sources(100), "overlapping": overlapping(50), "counting": counting(100), "doubling": doubling(8), "comb": comb(1000),
	} {
		d, err := diagram.Compile(rules, diagram.Options{})
		if err == nil {
			err = d.Verify(rules, diagram.Options{}, 1)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Chains that call each other in a circle are not compiled for ever.
func TestCircle(t *testing.T) {
	rules := doubling(3)
	rules.Chains["3"] = rules.Chains["1"]
	if _, err := diagram.Compile(rules, diagram.Options{}); err == nil {
		t.Error("no error")
	}
}
