// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// However tables are swapped, and chains flushed by others, what was counted is there once.
func TestMeterCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMeter()
		leaves := []ruleset.Outcome{{Verdict: ruleset.Defer}, {Verdict: ruleset.Drop, Rules: []uint32{1, 2}, Decider: 2}, {Verdict: ruleset.Pass, Rules: []uint32{1}}}
		plans := map[header.Family]*plan{header.V4: {forward: &diagram.Diagram{Leaves: leaves}}}
		generation, live := uint32(1), make([]datapath.LeafCount, 3)
		m.swapped(generation, plans)
		var tables uint64
		want := map[uint32]uint64{}
		read := func(final bool) {
			m.programs([]datapath.TableCounts{{Kind: datapath.Forward4, Generation: generation, Final: final, Leaves: slices.Clone(live)}})
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0: // a packet in the programs that rules 1 and 2 match
				live[1].Packets++
				want[1], want[2] = want[1]+1, want[2]+1
			case 1: // and one that rule 1 matches, and the policy decides
				live[2].Packets++
				want[1], want[0] = want[1]+1, want[0]+1
			case 2: // one in iptables
				tables++
				want[2]++
				m.tables(header.V4, map[uint32]netfilter.Count{2: {Packets: tables}})
			case 3: // somebody flushed the chain
				tables = 0
				m.tables(header.V4, map[uint32]netfilter.Count{2: {}})
			case 4:
				read(false)
			case 5:
				m.swapped(generation+1, plans)
				read(true)
				generation++
				clear(live)
			}
		}
		read(false)
		for id := range uint32(3) {
			if got := m.total(header.V4, id).Packets; got != want[id] {
				t.Errorf("rule %d counted %d, not %d", id, got, want[id])
			}
		}
		if len(m.leaves) > 2 || len(m.seen) > 1 {
			t.Errorf("%d generations are remembered", len(m.leaves))
		}
	})
}

// Rules that were deleted are known by their names for a while, and not for ever.
func TestHistory(t *testing.T) {
	h := newHistory()
	set := &ruleset.Set{}
	h.put(7, header.V4, []Rule{{ID: 1, Family: 4, Chain: base, Number: 1}, {ID: 2, Family: 4, Chain: base, Number: 2}}, set, nil)
	h.put(7, header.V6, []Rule{{ID: 3, Family: 6, Chain: base, Number: 1}}, set, nil)
	h.put(7, header.V4, []Rule{{ID: 2, Family: 4, Chain: base, Number: 1}}, set, nil)
	for id, want := range map[uint32]struct {
		name string
		gone bool
	}{1: {"FORWARD 1", true}, 2: {"FORWARD 1", false}, 3: {"FORWARD 1", false}} {
		r, ok := h.get(7, id)
		if !ok || r.Name() != want.name || r.Gone != want.gone {
			t.Errorf("rule %d: %+v", id, r)
		}
	}
	if _, ok := h.get(8, 1); ok {
		t.Error("another tenant's rule")
	}
	many := make([]Rule, mostGone+9)
	for i := range many {
		many[i] = Rule{ID: uint32(i + 10), Family: 4}
	}
	h.put(7, header.V4, many, set, nil)
	h.put(7, header.V4, nil, nil, nil)
	if len(h.gone) > mostGone || len(h.rules) > mostGone+1 { // the IPv6 rule is in force
		t.Errorf("%d rules that are gone are remembered", len(h.gone))
	}
	h.put(7, header.V4, many, set, nil) // the tenant is there again
	h.put(7, header.V4, many[:5], set, nil)
	if _, ok := h.get(7, many[0].ID); !ok {
		t.Error("a rule in force is forgotten")
	}
}

// The UUID of a rule is the same everywhere and for ever, and differs by all that it is made of.
func TestUUID(t *testing.T) {
	const want = "d2ea4ee7-ddca-5ea9-bf05-431fa56cc55b"
	if got := ruleUUID("red", header.V4, "FORWARD", "-p udp -m udp --dport 1000 -j DROP"); got != want {
		t.Errorf("%s, not %s: it must never change", got, want)
	}
	seen := map[string]bool{}
	for _, u := range []string{ruleUUID("a", 4, "b", "c"), ruleUUID("a", 6, "b", "c"), ruleUUID("ab", 4, "", "c"), ruleUUID("a", 4, "bc", ""), ruleUUID("a", 4, "b", "d")} {
		if seen[u] {
			t.Error("two rules have the same")
		}
		seen[u] = true
	}
}
