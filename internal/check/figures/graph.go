// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"strings"
)

// graph has for each name the names that it has arrows to, and how many.
type graph map[string]map[string]int

func (g graph) add(from, to string, arrows int) {
	if g[from] == nil {
		g[from] = map[string]int{}
	}
	g[from][to] += arrows
}

// arrowsOf returns which package of the module imports which, by directory.
func arrowsOf(module string, packages map[string]counts) graph {
	g := graph{}
	for dir, c := range packages {
		for _, imported := range c.imports {
			to, inside := strings.CutPrefix(imported+"/", module+"/")
			if to = strings.TrimSuffix(to, "/"); to == "" {
				to = "."
			}
			if _, known := packages[to]; inside && known && g[dir][to] == 0 {
				g.add(dir, to, 1)
			}
		}
	}
	return g
}

// between returns the arrows between groups. Those inside a group lead from it to
// itself.
func (g graph) between(groupOf func(string) string) graph {
	groups := graph{}
	for from, to := range g {
		for name, arrows := range to {
			groups.add(groupOf(from), groupOf(name), arrows)
		}
	}
	return groups
}

// arrows returns how many there are.
func (g graph) arrows() int {
	n := 0
	for _, to := range g {
		for _, arrows := range to {
			n += arrows
		}
	}
	return n
}

// fan returns how many arrows lead to a name from others, and from it to others.
func (g graph) fan(name string) (in, out int) {
	for from, to := range g {
		for other, arrows := range to {
			switch {
			case from == other:
			case other == name:
				in += arrows
			case from == name:
				out += arrows
			}
		}
	}
	return in, out
}

// cycles returns the sets of names that can reach each other, in order.
func (g graph) cycles() [][]string {
	reached := map[string]map[string]bool{}
	for name := range g {
		reached[name] = map[string]bool{}
		g.reach(name, reached[name])
	}
	found := [][]string{}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		if seen[name] {
			continue
		}
		cycle := []string{name}
		for _, other := range slices.Sorted(maps.Keys(reached[name])) {
			if other != name && reached[other][name] {
				cycle = append(cycle, other)
				seen[other] = true
			}
		}
		if len(cycle) > 1 {
			found = append(found, cycle)
		}
	}
	return found
}

// reach adds to found all names to which arrows lead, directly or not.
func (g graph) reach(from string, found map[string]bool) {
	for to := range g[from] {
		if !found[to] {
			found[to] = true
			g.reach(to, found)
		}
	}
}
