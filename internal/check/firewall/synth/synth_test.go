// SPDX-License-Identifier: Apache-2.0

package synth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// There are as many rules as were asked for, they can be judged by, and the same seed makes the same.
func TestMake(t *testing.T) {
	for _, f := range synth.Flavours() {
		for _, n := range []int{1, 2, 3, 4, 5, 41, 42, 43, 44, 1000} {
			t.Run(fmt.Sprintf("%s/%d", f, n), func(t *testing.T) {
				for _, r := range []*synth.Rules{synth.Make(f, n, 1), synth.Make(f, n, 1).V6()} {
					if len(r.List) != n {
						t.Errorf("%d rules", len(r.List))
					}
					if err := r.Set().Check(); err != nil {
						t.Error(err)
					}
					if lines := strings.Count(r.Restore(), "\n-A "); lines != n {
						t.Errorf("%d lines", lines)
					}
				}
				once, again := synth.Make(f, n, 1).Restore(), synth.Make(f, n, 1).Restore()
				if once != again {
					t.Error("the same seed made other rules")
				}
			})
		}
	}
}

// Both notations of a rule say the same.
func TestRule(t *testing.T) {
	list := synth.Make(synth.Zones, 50, 1).List
	for i, want := range map[int]string{
		0: "-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		1: "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
		2: "-A FORWARD -d 10.0.0.0/20 -j zone0",
		3: "-A zone0 -s 10.0.0.0/20 -j ACCEPT",
		6: "-A zone0 -p tcp -m multiport --dports 22,80,443,8080 -j ACCEPT",
	} {
		if diff := cmp.Diff(want, strings.Join(list[i].Args(), " ")); diff != "" {
			t.Error(diff)
		}
	}
}

// The plain packet is asked for by all rules of Never, and matches none.
func TestNever(t *testing.T) {
	for _, r := range []*synth.Rules{synth.Make(synth.Never, 1000, 1), synth.Make(synth.Never, 1000, 1).V6()} {
		p := synth.Plain(r.Family)
		if diff := cmp.Diff(ruleset.Outcome{Verdict: ruleset.Pass}, r.Set().Judge(&p)); diff != "" {
			t.Error(diff)
		}
	}
}

// Packets of rules meet their rules: all but a few rules are matched by some packet.
func TestPackets(t *testing.T) {
	r := synth.Make(synth.ACL, 100, 1)
	set, matched := r.Set(), map[uint32]bool{}
	for _, p := range synth.Packets(r, 10_000, 1) {
		if p.Family != header.V4 {
			t.Fatal("another family")
		}
		for _, id := range set.Judge(&p).Rules {
			matched[id] = true
		}
	}
	if len(matched) < 80 {
		t.Errorf("%d of 100 rules are matched", len(matched))
	}
}
