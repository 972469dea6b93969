// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"fmt"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
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
