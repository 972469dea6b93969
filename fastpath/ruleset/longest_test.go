// SPDX-License-Identifier: Apache-2.0

package ruleset_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

func TestLongest(t *testing.T) {
	t.Parallel()
	for levels, want := range map[int]int{0: 1, 1: 4, 2: 10, 3: 22, 200: math.MaxInt} {
		s := &ruleset.Set{Base: "0", Chains: map[string]*ruleset.Chain{}}
		for i := range levels {
			next := fmt.Sprint(i + 1)
			s.Chains[fmt.Sprint(i)] = &ruleset.Chain{Rules: []ruleset.Rule{
				{Action: ruleset.Jump, Target: next}, {Action: ruleset.Goto, Target: next},
			}}
		}
		s.Chains[fmt.Sprint(levels)] = &ruleset.Chain{Rules: []ruleset.Rule{{Action: ruleset.Deny}}}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if got := s.Longest(); got != want {
			t.Errorf("%d levels: %d, want %d", levels, got, want)
		}
	}
}
