// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// maxReach is how many cells say by which packets a chain is reached; if there would be more, it
// is taken to be reached by all.
const maxReach = 64

// DefaultSteps is how many rules [Space.Differ] asks at most, which takes about a second.
const DefaultSteps = 200_000

// Difference is what [Space.Differ] finds.
type Difference struct {
	// Cell is packets of which each may be treated differently. Whether they really are may also
	// depend on rules that are Unknown.
	Cell Cell
	// Exact is false if there was not enough time to be sure: the packets of the cell are then
	// only those for which nothing else could be shown.
	Exact bool
}

// Differ returns packets among others that the rules before and after may treat differently, or nil if
// there are none: then whoever they belong to is not affected. It asks no more rules than steps.
//
// A rule that is Unknown says the same of a packet before and after, but may say anything.
func (s *Space) Differ(before, after *Rules, others []Cell, steps int) *Difference {
	candidates := meet(changed(before, after), others)
	w := &walk{space: s, left: steps}
	for i := range candidates {
		if found := w.differ(before, after, candidates[i]); found != nil {
			return found
		}
	}
	return nil
}

// changed returns at least all packets for which rules differ: those that reach a chain that was
// changed, and may match a rule of the part that was.
func changed(before, after *Rules) []Cell {
	if before.Base != after.Base || before.Policy != after.Policy {
		return []Cell{{}}
	}
	var cells []Cell
	reachBefore, reachAfter := reach(before), reach(after)
	names := slices.Sorted(maps.Keys(before.Chains))
	for name := range after.Chains {
		if _, ok := before.Chains[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		removed, added := middle(before.Chains[name], after.Chains[name])
		for _, part := range []struct {
			rules []Rule
			reach []Cell
		}{{removed, reachBefore[name]}, {added, reachAfter[name]}} {
			for i := range part.rules {
				cells = append(cells, meet(part.rules[i].Cells, part.reach)...)
			}
		}
	}
	return cells
}

// middle returns what is left of two lists without their equal beginnings and ends.
func middle(a, b []Rule) (removed, added []Rule) {
	for len(a) > 0 && len(b) > 0 && equal(&a[0], &b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && equal(&a[len(a)-1], &b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// equal reports whether two rules are the same. Cells that are the same packets but not written
// the same count as different, which is safe.
func equal(a, b *Rule) bool {
	return a.Key == b.Key && a.Unknown == b.Unknown && a.Action == b.Action && a.Target == b.Target &&
		slices.EqualFunc(a.Cells, b.Cells, func(c, d Cell) bool {
			for w := range c.Box {
				if !slices.Equal(c.Box[w], d.Box[w]) || (c.Box[w] == nil) != (d.Box[w] == nil) {
					return false
				}
			}
			return slices.Equal(c.In, d.In) && (c.In == nil) == (d.In == nil) &&
				slices.Equal(c.Out, d.Out) && (c.Out == nil) == (d.Out == nil)
		})
}

// reach returns at least the packets that come to each chain.
func reach(rules *Rules) map[string][]Cell {
	order, circle := callersFirst(rules)
	reached := map[string][]Cell{rules.Base: {{}}}
	for _, name := range order {
		if circle {
			reached[name] = []Cell{{}}
			continue
		}
		for i := range rules.Chains[name] {
			r := &rules.Chains[name][i]
			if r.Action == ruleset.Jump || r.Action == ruleset.Goto {
				grow(reached, r.Target, meet(r.Cells, reached[name]))
			}
		}
	}
	return reached
}

// callersFirst returns the chains that can be reached, each after all that call it, or in any
// order if some call each other in a circle.
func callersFirst(rules *Rules) (order []string, circle bool) {
	const begun, done = 1, 2
	state := map[string]int{}
	var visit func(string)
	visit = func(name string) {
		state[name] = begun
		for i := range rules.Chains[name] {
			r := &rules.Chains[name][i]
			if r.Action != ruleset.Jump && r.Action != ruleset.Goto {
				continue
			}
			switch state[r.Target] {
			case begun:
				circle = true
			case 0:
				visit(r.Target)
			}
		}
		state[name] = done
		order = append(order, name)
	}
	visit(rules.Base)
	slices.Reverse(order)
	return order, circle
}

// grow adds packets to those that come to a chain.
func grow(reached map[string][]Cell, chain string, cells []Cell) {
	now := reached[chain]
	if len(now) == 1 && whole(&now[0]) {
		return
	}
	if now = append(now, cells...); len(now) > maxReach {
		now = []Cell{{}}
	}
	reached[chain] = now
}

// whole reports whether the cell is all packets.
func whole(c *Cell) bool {
	for _, s := range c.Box {
		if s != nil {
			return false
		}
	}
	return c.In == nil && c.Out == nil
}
