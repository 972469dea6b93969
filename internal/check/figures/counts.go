// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// maxFunction is how many lines a function may have before it counts as long, as
// in .golangci.yml.
const maxFunction = 60

// counts is what was counted in some files.
type counts struct {
	packages int
	// The lengths in lines of each source file and of each function in them.
	files, functions []int
	// comments are the lines with nothing but a comment.
	comments int
	// exported names, and those of them with documentation.
	exported, documented int
	// testLines are in the files that the others are not counted of.
	testLines int
	// imports are the paths that source files import, with repetitions.
	imports []string
}

func (c counts) plus(d counts) counts {
	return counts{
		packages:   c.packages + d.packages,
		files:      slices.Concat(c.files, d.files),
		functions:  slices.Concat(c.functions, d.functions),
		comments:   c.comments + d.comments,
		exported:   c.exported + d.exported,
		documented: c.documented + d.documented,
		testLines:  c.testLines + d.testLines,
		imports:    slices.Concat(c.imports, d.imports),
	}
}

// figures are the counts as they are shown.
type figures struct {
	Packages int `json:"packages"`
	Files    int `json:"files"`
	Lines    int `json:"lines"`
	// FileLines and FunctionLines are lengths in lines. A function is a declared one
	// with a body, from "func" to "}"; literals are part of the one around them.
	FileLines     spread `json:"file_lines"`
	Functions     int    `json:"functions"`
	FunctionLines spread `json:"function_lines"`
	LongFunctions int    `json:"long_functions"`
	// Exported names are functions, types, constants, variables, and methods of
	// exported types. Those of a group are documented if the group is.
	Exported   int `json:"exported"`
	Documented int `json:"documented"`
	// CommentLines hold nothing but a comment.
	CommentLines int `json:"comment_lines"`
	// TestLines are those of _test.go files, which are in no other figure.
	TestLines int `json:"test_lines"`
}

func (c counts) figures() figures {
	f := figures{
		Packages: c.packages, Files: len(c.files), Functions: len(c.functions),
		FileLines: spreadOf(c.files), FunctionLines: spreadOf(c.functions),
		Exported: c.exported, Documented: c.documented,
		CommentLines: c.comments, TestLines: c.testLines,
	}
	for _, lines := range c.files {
		f.Lines += lines
	}
	for _, lines := range c.functions {
		if lines > maxFunction {
			f.LongFunctions++
		}
	}
	return f
}

// spread describes how numbers are distributed, all of it 0 if there are none.
type spread struct {
	Median int `json:"median"`
	P90    int `json:"p90"`
	Max    int `json:"max"`
}

// spreadOf takes for each quantile the number whose place in the order is nearest,
// and the larger of two as near.
func spreadOf(numbers []int) spread {
	if len(numbers) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(numbers))
	last := len(sorted) - 1
	// Rounded without floats: the place of 0.9 is 9/10 of the last one.
	return spread{Median: sorted[(last+1)/2], P90: sorted[(9*last+5)/10], Max: sorted[last]}
}
