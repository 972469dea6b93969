// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/iptables"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The small space: two tenants that have the same addresses, three devices, four addresses, two
// protocols, two ports, two states.
func smallHost() *scope.Host {
	return &scope.Host{
		Tenants: []scope.Tenant{
			{ID: "blue", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}, Devices: []scope.Device{{Name: "br-blue"}}},
			{ID: "red", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30")}, Devices: []scope.Device{{Name: "br-red"}}},
		},
		Uplinks: []string{"ens3"},
	}
}

func smallWords() map[header.Word][]uint32 {
	return map[header.Word][]uint32{
		header.Src0: {0xc0000200, 0xc0000201, 0xc0000202, 0xc0000203}, header.Dst0: {0xc0000200, 0xc0000201, 0xc0000202, 0xc0000203},
		header.Proto: {header.TCP, header.UDP}, header.Dport: {22, 53},
		header.State: {header.StateOf(header.New, 0), header.StateOf(header.Established, 0)},
	}
}

// points are all packets of the small space.
func points(s *Space) []Point {
	all := []Point{{Header: header.Packet{Family: header.V4}}}
	spread := func(n int, set func(*Point, int)) {
		var more []Point
		for _, p := range all {
			for i := range n {
				q := p
				set(&q, i)
				more = append(more, q)
			}
		}
		all = more
	}
	for w, values := range smallWords() {
		spread(len(values), func(p *Point, i int) { p.Header.Words[w] = values[i] })
	}
	spread(len(s.devices)-1, func(p *Point, i int) { p.In = uint32(i) })
	spread(len(s.devices)-1, func(p *Point, i int) { p.Out = uint32(i) })
	return all
}

// drawRules draws rules with jumps, gotos and matches that are not understood.
func drawRules(t *rapid.T, s *Space, label string) *Rules {
	names := []string{"FORWARD", "a", "b"}
	rules := &Rules{Base: "FORWARD", Chains: map[string][]Rule{}, Policy: rapid.SampledFrom([]ruleset.Verdict{ruleset.Pass, ruleset.Drop}).Draw(t, label+"policy")}
	for i, name := range names {
		n := rapid.IntRange(0, 4).Draw(t, label+name)
		for range n {
			rules.Chains[name] = append(rules.Chains[name], drawRule(t, s, names[i+1:]))
		}
	}
	return rules
}

func drawRule(t *rapid.T, s *Space, targets []string) Rule {
	var r Rule
	for range rapid.IntRange(1, 2).Draw(t, "cells") {
		var c Cell
		for w, values := range smallWords() {
			if rapid.IntRange(0, 2).Draw(t, "restrict") == 0 {
				c.Box[w] = header.Values(rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, len(values)-1, rapid.ID).Draw(t, "values")...)
			}
		}
		device := rapid.SampledFrom([]iptables.Interface{
			{}, {}, {Name: "br-red"}, {Name: "br-blue"}, {Name: "ens3"}, {Name: "br-red", Not: true}, {Name: "br-+"},
		})
		c.In, c.Out = s.Named(device.Draw(t, "in")), s.Named(device.Draw(t, "out"))
		r.Cells = append(r.Cells, c)
	}
	r.Unknown = rapid.IntRange(0, 4).Draw(t, "unknown") == 0
	r.Action = rapid.SampledFrom([]ruleset.Action{
		ruleset.Accept, ruleset.Deny, ruleset.Return, ruleset.Continue, ruleset.Jump, ruleset.Jump, ruleset.Goto, ruleset.Foreign,
	}).Draw(t, "action")
	if r.Action == ruleset.Jump || r.Action == ruleset.Goto {
		if len(targets) == 0 {
			r.Action = ruleset.Accept
		} else {
			r.Target = rapid.SampledFrom(targets).Draw(t, "target")
		}
	}
	r.Key = fmt.Sprint(r.Cells, r.Unknown, r.Action, r.Target)
	return r
}

// edited draws what a command may make of rules.
func edited(t *rapid.T, s *Space, old *Rules) *Rules {
	rules := &Rules{Base: old.Base, Policy: old.Policy, Chains: map[string][]Rule{}}
	for name, chain := range old.Chains {
		rules.Chains[name] = slices.Clone(chain)
	}
	for range rapid.IntRange(1, 2).Draw(t, "edits") {
		names := []string{"FORWARD", "a", "b"}
		i := rapid.IntRange(0, 2).Draw(t, "chain")
		chain := rules.Chains[names[i]]
		at := rapid.IntRange(0, len(chain)).Draw(t, "at")
		switch rapid.IntRange(0, 5).Draw(t, "edit") {
		case 0, 1:
			chain = slices.Insert(slices.Clone(chain), at, drawRule(t, s, names[i+1:]))
		case 2:
			if at < len(chain) {
				chain = slices.Delete(slices.Clone(chain), at, at+1)
			}
		case 3:
			chain = nil
		case 4: // the same rule twice
			if at < len(chain) {
				chain = slices.Insert(slices.Clone(chain), at, chain[at])
			}
		case 5:
			rules.Policy = ruleset.Pass + ruleset.Drop - rules.Policy
		}
		rules.Chains[names[i]] = chain
	}
	return rules
}

// naive judges one packet, as if supposed said of each rule that is not understood what it does.
type naive struct {
	rules    *Rules
	point    Point
	supposed func(what string) bool
	seen     map[string]int
	trace    []string
}

func (n *naive) judge() []string {
	n.seen = map[string]int{}
	if !n.chain(n.rules.Base) {
		n.trace = append(n.trace, fmt.Sprint("policy ", int(n.rules.Policy)))
	}
	return n.trace
}

func (n *naive) ask(what string) bool {
	n.seen[what]++
	return n.supposed(fmt.Sprint(what, " ", n.seen[what]))
}

// chain reports whether the packet is judged.
func (n *naive) chain(name string) bool {
	for i := range n.rules.Chains[name] {
		r := &n.rules.Chains[name][i]
		if !slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.has(&n.point) }) || r.Unknown && !n.ask("match "+r.Key) {
			continue
		}
		if r.Key != "" {
			n.trace = append(n.trace, "rule "+r.Key)
		}
		switch r.Action {
		case ruleset.Accept:
			n.trace = append(n.trace, "policy 0")
			return true
		case ruleset.Deny:
			n.trace = append(n.trace, "policy 1")
			return true
		case ruleset.Return:
			return false
		case ruleset.Jump:
			if n.chain(r.Target) {
				return true
			}
		case ruleset.Goto:
			return n.chain(r.Target)
		case ruleset.Foreign:
			if n.ask("end " + r.Key) {
				n.trace = append(n.trace, "done by "+r.Key)
				return true
			}
		}
	}
	return false
}

// mayDiffer reports whether two sets of rules may treat a packet differently, by trying all
// that may be supposed.
func mayDiffer(a, b *Rules, p Point) bool {
	var asked []string
	for try := 0; ; try++ {
		supposed := func(what string) bool {
			i := slices.Index(asked, what)
			if i < 0 {
				i = len(asked)
				asked = append(asked, what)
			}
			return try>>i&1 != 0
		}
		one := (&naive{rules: a, point: p, supposed: supposed}).judge()
		two := (&naive{rules: b, point: p, supposed: supposed}).judge()
		if !slices.Equal(one, two) {
			return true
		}
		if try >= 1<<len(asked) || len(asked) > 12 {
			return false
		}
	}
}

// What is called safe is safe for each packet of the small space, and the packet that is shown
// otherwise is another's, and is really treated differently.
func TestDifferByBruteForce(t *testing.T) {
	t.Parallel()
	s := NewSpace(header.V4, smallHost(), nil)
	all := points(s)
	var safe, not int
	rapid.Check(t, func(t *rapid.T) {
		before := drawRules(t, s, "before ")
		var after *Rules
		if rapid.Bool().Draw(t, "edited") {
			after = edited(t, s, before)
			if rapid.Bool().Draw(t, "taken back") {
				before, after = after, before
			}
		} else {
			after = drawRules(t, s, "after ")
		}
		others := s.Others("red", rapid.SampledFrom([]Hook{{"filter", "FORWARD"}, {"mangle", "FORWARD"}}).Draw(t, "hook"))
		isOthers := func(p *Point) bool {
			return slices.ContainsFunc(others, func(c Cell) bool { return c.has(p) })
		}
		steps := rapid.SampledFrom([]int{DefaultSteps, DefaultSteps, 0, 3}).Draw(t, "steps")
		found := s.Differ(before, after, others, steps)
		if found == nil {
			safe++
			for i := range all {
				if isOthers(&all[i]) && mayDiffer(before, after, all[i]) {
					t.Fatalf("said to be safe, but %v is treated differently", all[i])
				}
			}
			return
		}
		not++
		if steps == DefaultSteps && !found.Exact {
			t.Fatal("not exact, with so few rules")
		}
		p := Point{Header: header.Packet{Family: header.V4}, In: least(found.Cell.In), Out: least(found.Cell.Out)}
		h, some := found.Cell.Box.Witness(header.V4)
		if p.Header = h; !some || !found.Cell.has(&p) || !isOthers(&p) {
			t.Fatalf("the packet %v is not another's", p)
		}
		if found.Exact && !mayDiffer(before, after, p) {
			t.Fatalf("the packet %v is not treated differently", p)
		}
	})
	if safe == 0 || not == 0 {
		t.Fatalf("%d times safe, %d times not: the test does not see both", safe, not)
	}
}

// Details that chance rarely meets.
func TestDiffer(t *testing.T) {
	t.Parallel()
	s := NewSpace(header.V4, smallHost(), nil)
	others := s.Others("red", forward())
	all := func(key string, action ruleset.Action, target string) Rule {
		return Rule{Key: key, Cells: []Cell{{}}, Action: action, Target: target}
	}
	from := func(source uint32, action ruleset.Action, target string) Rule {
		r := all(fmt.Sprint(source, action, target), action, target)
		r.Cells[0].Box[header.Src0] = header.Values(source)
		return r
	}
	rules := func(chains map[string][]Rule) *Rules { return &Rules{Base: "FORWARD", Chains: chains} }
	unknown := all("k", ruleset.Accept, "")
	unknown.Unknown = true
	var jumps []Rule
	for i := range uint32(maxReach + 6) {
		jumps = append(jumps, from(i, ruleset.Jump, "a"))
	}
	entries := []Rule{from(1, ruleset.Jump, "y"), from(2, ruleset.Jump, "x")}
	circle := []Rule{all("z", ruleset.Jump, "z"), all("y", ruleset.Jump, "x")}
	for name, c := range map[string]struct {
		before, after *Rules
		safe          bool
	}{
		"nothing comes after a goto": {
			rules(map[string][]Rule{"FORWARD": {all("g", ruleset.Goto, "a"), all("d", ruleset.Deny, "")}}),
			rules(map[string][]Rule{"FORWARD": {all("g", ruleset.Goto, "a"), all("e", ruleset.Accept, "")}}), true,
		},
		"an unknown rule, twice, may match the second time": {
			rules(map[string][]Rule{"FORWARD": {unknown, unknown}}), rules(map[string][]Rule{"FORWARD": {unknown}}), false,
		},
		"reached by many jumps": {
			rules(map[string][]Rule{"FORWARD": jumps, "a": {}}),
			rules(map[string][]Rule{"FORWARD": jumps, "a": {from(maxReach+5, ruleset.Deny, "")}}), false,
		},
		"beyond a circle": {
			rules(map[string][]Rule{"FORWARD": entries, "x": {all("x", ruleset.Jump, "y")}, "y": circle, "z": {}}),
			rules(map[string][]Rule{"FORWARD": entries, "x": {all("x", ruleset.Jump, "y")}, "y": circle, "z": {from(2, ruleset.Deny, "")}}),
			false,
		},
	} {
		if found := s.Differ(c.before, c.after, others, DefaultSteps); (found == nil) != c.safe {
			t.Errorf("%s: %+v, want safe: %t", name, found, c.safe)
		}
	}
	own := s.Own("red")[0].Lo
	for _, h := range []Hook{{"filter", "INPUT"}, {"nat", "PREROUTING"}, {"mangle", "OUTPUT"}} {
		if !slices.ContainsFunc(s.Others("red", h), func(c Cell) bool { return c.has(&Point{In: own, Out: own}) }) {
			t.Errorf("%v: what the host sends or receives is nobody's", h)
		}
	}
}

func least(s header.Set) uint32 {
	if s == nil {
		return 0
	}
	return s[0].Lo
}

// What a tenant does in a chain that only its devices lead to is safe, whatever it is.
func TestGuardConfines(t *testing.T) {
	t.Parallel()
	s := NewSpace(header.V4, smallHost(), nil)
	others := s.Others("red", Hook{"filter", "FORWARD"})
	own := s.Own("red")
	guarded := func(inner *Rules) *Rules {
		outer := &Rules{Base: "host", Policy: ruleset.Pass, Chains: map[string][]Rule{
			"host": {
				{Cells: []Cell{{In: own}, {Out: own}}, Action: ruleset.Jump, Target: "FORWARD"},
				{Key: "operator", Unknown: true, Cells: []Cell{{}}, Action: ruleset.Foreign},
			},
		}}
		for name, chain := range inner.Chains {
			outer.Chains[name] = chain
		}
		if inner.Policy == ruleset.Drop {
			outer.Chains["FORWARD"] = append(slices.Clone(outer.Chains["FORWARD"]), Rule{Key: "policy", Cells: []Cell{{}}, Action: ruleset.Deny})
		}
		return outer
	}
	rapid.Check(t, func(t *rapid.T) {
		before := guarded(drawRules(t, s, "before "))
		after := guarded(drawRules(t, s, "after "))
		if found := s.Differ(before, after, others, DefaultSteps); found != nil {
			t.Fatalf("%v", found)
		}
	})
}
