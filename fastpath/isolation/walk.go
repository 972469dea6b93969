// SPDX-License-Identifier: Apache-2.0

package isolation

import (
	"slices"
	"strconv"

	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// maxFrames is how deep chains may call each other, more than iptables allows in practice.
const maxFrames = 64

// walk asks rules about cells of packets that are treated alike so far.
type walk struct {
	space *Space
	left  int // steps
}

// frame is a place in a chain.
type frame struct {
	chain string
	next  int
}

// run is a cell on its way through rules.
type run struct {
	cell  Cell
	stack []frame
	// supposed is what was supposed about rules that are Unknown, by key and how many equal
	// ones came before.
	supposed map[string]bool
	seen     map[string]int
	// trace are the keys of the rules that matched, and the verdict.
	trace []string
}

func (r *run) fork() *run {
	f := &run{cell: r.cell, stack: slices.Clone(r.stack), trace: slices.Clone(r.trace)}
	f.supposed, f.seen = make(map[string]bool, len(r.supposed)+1), make(map[string]int, len(r.seen)+1)
	for k, v := range r.supposed {
		f.supposed[k] = v
	}
	for k, v := range r.seen {
		f.seen[k] = v
	}
	return f
}

// differ returns packets of the cell that two sets of rules may treat differently.
func (w *walk) differ(before, after *Rules, cell Cell) *Difference {
	var found *Difference
	start := func(rules *Rules, cell Cell, supposed map[string]bool) *run {
		return &run{cell: cell, stack: []frame{{chain: rules.Base}}, supposed: supposed, seen: map[string]int{}}
	}
	whole := w.through(before, start(before, cell, map[string]bool{}), func(b *run) bool {
		return w.through(after, start(after, b.cell, b.supposed), func(a *run) bool {
			if !slices.Equal(a.trace, b.trace) {
				found = &Difference{Cell: a.cell, Exact: true}
			}
			return found == nil
		})
	})
	if found == nil && !whole {
		found = &Difference{Cell: cell}
	}
	return found
}

// through follows a cell through rules, in as many parts as it comes to, and calls end with each. It
// reports false if end did, or if there were too many steps.
func (w *walk) through(rules *Rules, r *run, end func(*run) bool) bool {
	for {
		top := len(r.stack) - 1
		if top < 0 {
			r.trace = append(r.trace, "policy "+strconv.Itoa(int(rules.Policy)))
			return end(r)
		}
		f := &r.stack[top]
		chain := rules.Chains[f.chain]
		if f.next >= len(chain) {
			r.stack = r.stack[:top]
			continue
		}
		rule := &chain[f.next]
		f.next++
		if w.left--; w.left < 0 {
			return false
		}
		if w.misses(rule, r) {
			continue
		}
		return w.parts(rules, rule, r, end)
	}
}

// misses reports whether the rule matches no packet of the run.
func (w *walk) misses(rule *Rule, r *run) bool {
	for i := range rule.Cells {
		if _, some := rule.Cells[i].intersect(&r.cell); some {
			return false
		}
	}
	return true
}

// parts follows the packets that the rule matches, and those that it does not.
func (w *walk) parts(rules *Rules, rule *Rule, r *run, end func(*run) bool) bool {
	rest := []Cell{r.cell}
	for i := range rule.Cells {
		var less []Cell
		for _, c := range rest {
			if in, some := c.intersect(&rule.Cells[i]); some {
				part := r.fork()
				part.cell = in
				if !w.matched(rules, rule, part, end) {
					return false
				}
			}
			less = append(less, w.space.subtract(&c, &rule.Cells[i])...)
		}
		rest = less
	}
	for _, c := range rest {
		part := r.fork()
		part.cell = c
		if !w.through(rules, part, end) {
			return false
		}
	}
	return true
}

// matched follows packets that are in the rule's cells.
func (w *walk) matched(rules *Rules, rule *Rule, r *run, end func(*run) bool) bool {
	if !rule.Unknown {
		return w.do(rules, rule, r, end)
	}
	return w.suppose("match "+rule.Key, r, func(r *run, yes bool) bool {
		if yes {
			return w.do(rules, rule, r, end)
		}
		return w.through(rules, r, end)
	})
}

// suppose follows the packets under what was supposed before, or under both.
func (w *walk) suppose(what string, r *run, then func(*run, bool) bool) bool {
	r.seen[what]++
	what += " " + strconv.Itoa(r.seen[what])
	if yes, ok := r.supposed[what]; ok {
		return then(r, yes)
	}
	for _, yes := range []bool{true, false} {
		part := r.fork()
		part.supposed[what] = yes
		if !then(part, yes) {
			return false
		}
	}
	return true
}

// do does with the packets what the rule says.
func (w *walk) do(rules *Rules, rule *Rule, r *run, end func(*run) bool) bool {
	if rule.Key != "" {
		r.trace = append(r.trace, "rule "+rule.Key)
	}
	top := len(r.stack) - 1
	finish := func(r *run, what string) bool {
		r.trace = append(r.trace, what)
		return end(r)
	}
	switch rule.Action {
	case ruleset.Accept:
		return finish(r, "policy "+strconv.Itoa(int(ruleset.Pass)))
	case ruleset.Deny:
		return finish(r, "policy "+strconv.Itoa(int(ruleset.Drop)))
	case ruleset.Return:
		r.stack = r.stack[:top]
	case ruleset.Jump, ruleset.Goto:
		if rule.Action == ruleset.Goto {
			r.stack = r.stack[:top]
		}
		if len(r.stack) >= maxFrames {
			return finish(r, "too deep")
		}
		r.stack = append(r.stack, frame{chain: rule.Target})
	case ruleset.Foreign:
		return w.suppose("end "+rule.Key, r, func(r *run, yes bool) bool {
			if yes {
				return finish(r, "done by "+rule.Key)
			}
			return w.through(rules, r, end)
		})
	}
	return w.through(rules, r, end)
}
