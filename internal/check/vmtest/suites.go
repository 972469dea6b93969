// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"path"
	"slices"
	"strings"
)

// suite is a package whose tests run on other kernels.
type suite struct {
	dir  string   // of the package, below the root of the repository
	skip []string // names of tests that do not run there
}

// suites returns the packages that are tested by default, and which of their tests are
// not: an emulated machine is ten to twenty times slower than a real one.
func suites() []suite {
	return []suite{
		{dir: "bpf"},
		{dir: "internal/agent", skip: []string{"TestFlood.*", "TestRingLossIsSaid", "TestBusy"}},
	}
}

// choose returns the suites of these packages, or all.
func choose(packages []string) []suite {
	all := suites()
	if len(packages) == 0 {
		return all
	}
	var chosen []suite
	for _, p := range packages {
		dir := path.Clean(strings.TrimPrefix(p, "./"))
		i := slices.IndexFunc(all, func(s suite) bool { return s.dir == dir })
		if i < 0 {
			chosen = append(chosen, suite{dir: dir})
			continue
		}
		chosen = append(chosen, all[i])
	}
	return chosen
}

// binary is the name of the suite's test program.
func (s suite) binary() string { return strings.ReplaceAll(s.dir, "/", "-") + ".test" }

// pattern is the value of the flag -test.skip.
func (s suite) pattern() string {
	if len(s.skip) == 0 {
		return ""
	}
	return "^(" + strings.Join(s.skip, "|") + ")$"
}
