// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"fmt"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// Rules as people write them are compiled, and what comes of it is what they say.
func TestFlavours(t *testing.T) {
	for _, f := range synth.Flavours() {
		for _, n := range []int{1, 10, 100, 1000} {
			for _, stateless := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/stateless=%v", f, n, stateless), func(t *testing.T) {
					rules, o := synth.Make(f, n, 1), diagram.Options{Stateless: stateless}
					if stateless {
						rules = rules.V6() // which has nothing to do with it
					}
					set := rules.Set()
					d, err := diagram.Compile(set, o)
					if err != nil {
						t.Fatal(err)
					}
					if err := d.Verify(set, o, 1); err != nil {
						t.Error(err)
					}
					for _, p := range synth.Packets(rules, 300, 1) {
						want := set.Judge(&p)
						if stateless {
							want = set.JudgeStateless(&p)
						}
						if _, is := d.Judge(&p); !equal(is, want) {
							t.Fatalf("packet %v: %+v, and the rules say %+v", p.Words, is, want)
						}
					}
				})
			}
		}
	}
}

// 10,000 rules are compiled within the limits.
func TestTenThousand(t *testing.T) {
	for _, f := range synth.Flavours() {
		t.Run(string(f), func(t *testing.T) {
			rules := synth.Make(f, 10_000, 2).Set()
			d, err := diagram.Compile(rules, diagram.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Verify(rules, diagram.Options{}, 2); err != nil {
				t.Error(err)
			}
		})
	}
}

// At TC, where the state is not known, a firewall that begins with the states drops all that it drops of
// packets without a connection.
func TestFreshDrops(t *testing.T) {
	rules := synth.Make(synth.Zones, 1000, 1)
	set, fresh := rules.Set(), []uint32{uint32(header.Invalid), uint32(header.New), uint32(header.Untracked)}
	without, err := diagram.Compile(set, diagram.Options{Stateless: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(without.Nodes) != 0 {
		t.Errorf("%d nodes, although all packets are deferred", len(without.Nodes))
	}
	// Invalid packets are dropped by a rule of their own.
	o := diagram.Options{Stateless: true, Fresh: fresh[1:]}
	with, err := diagram.Compile(set, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := with.Verify(set, o, 1); err != nil {
		t.Error(err)
	}
	dropped := 0
	for _, p := range synth.Packets(rules, 1000, 1) {
		p.Words[header.State] = header.StateOf(header.New, 0)
		want := set.Judge(&p)
		_, is := with.Judge(&p)
		if want.Verdict == ruleset.Drop {
			dropped++
		} else {
			want = is
		}
		if !equal(is, want) {
			t.Fatalf("packet %v: %+v, and the rules say %+v of a new one", p.Words, is, want)
		}
	}
	if dropped < 100 {
		t.Errorf("%d are dropped", dropped)
	}
}
