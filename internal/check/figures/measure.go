// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// report is what is known of a module.
type report struct {
	Module   string  `json:"module"`
	All      figures `json:"all"`
	Groups   []row   `json:"groups"`
	Packages []row   `json:"packages"`
	// Imports are the arrows between packages, GroupImports those between groups and
	// inside of them.
	Imports      graph `json:"imports"`
	GroupImports graph `json:"group_imports"`
	// Cycles are sets of packages each of which imports all others, if indirectly. The
	// compiler allows none between packages, but some between groups.
	Cycles      [][]string `json:"cycles"`
	GroupCycles [][]string `json:"group_cycles"`
}

// row is the figures of a package, by its directory, or of a group.
type row struct {
	Name string `json:"name"`
	figures
	// FanIn is how many packages import this one, FanOut how many this one imports.
	// Of a group, these are the arrows from and to other groups.
	FanIn  int `json:"fan_in"`
	FanOut int `json:"fan_out"`
}

// groupOf returns the group of packages that a directory belongs to: its top-level
// directory, but internal is three.
func groupOf(dir string) string {
	for _, group := range []string{"internal/check", "internal/study"} {
		if source.Match(dir, group+"/...") {
			return group
		}
	}
	top, _, _ := strings.Cut(dir, "/")
	return top
}

// measure reads the module in root.
func measure(root fs.FS) (report, error) {
	module, err := modulePath(root)
	if err != nil {
		return report{}, err
	}
	packages, err := readPackages(root)
	if err != nil {
		return report{}, err
	}
	groups, all := map[string]counts{}, counts{}
	for dir, c := range packages {
		groups[groupOf(dir)] = groups[groupOf(dir)].plus(c)
		all = all.plus(c)
	}
	arrows := arrowsOf(module, packages)
	between := arrows.between(groupOf)
	return report{
		Module: module, All: all.figures(),
		Groups: rows(groups, between), Packages: rows(packages, arrows),
		Imports: arrows, GroupImports: between,
		Cycles: arrows.cycles(), GroupCycles: between.cycles(),
	}, nil
}

// modulePath returns the path in the directive "module" of go.mod.
func modulePath(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "module" {
			return strings.Trim(fields[1], `"`), nil
		}
	}
	return "", errors.New("go.mod names no module")
}

// readPackages counts the hand-written Go files of each directory.
func readPackages(root fs.FS) (map[string]counts, error) {
	names, err := source.Files(root, func(name string) bool { return path.Ext(name) == ".go" })
	if err != nil {
		return nil, err
	}
	packages := map[string]counts{}
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		if source.Generated(text) {
			continue
		}
		c, err := countFile(name, text)
		if err != nil {
			return nil, err
		}
		packages[path.Dir(name)] = packages[path.Dir(name)].plus(c)
	}
	for dir, c := range packages {
		c.packages = 1
		packages[dir] = c
	}
	return packages, nil
}

// rows returns one row for each name, in order.
func rows(byName map[string]counts, arrows graph) []row {
	var rows []row
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		in, out := arrows.fan(name)
		rows = append(rows, row{Name: name, figures: byName[name].figures(), FanIn: in, FanOut: out})
	}
	return rows
}
