// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func count(t *testing.T, name, text string) counts {
	t.Helper()
	c, err := countFile(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLinesAndComments(t *testing.T) {
	got := count(t, "a.go", `// Package a is three lines of comment,
// of which none is code.
/* This is one, too. */
package a

import _ "fmt" // Behind code is not a line of comment.

/*
	Three lines.
*/
`)
	want := counts{files: []int{10}, comments: 6, imports: []string{"fmt"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestFunctions(t *testing.T) {
	got := count(t, "a.go", `package a

// Documentation is no part of a function.
func one() {}

func four() {
	f := func() {}
	f()
}

func (t[K]) three() {
	// A comment is.
}

func elsewhere()
`)
	if diff := cmp.Diff([]int{1, 4, 3}, got.functions); diff != "" {
		t.Errorf("lines of functions (-want +got):\n%s", diff)
	}
}

func TestExported(t *testing.T) {
	for decl, want := range map[string][2]int{ // exported, documented
		"func F() {}":                                   {1, 0},
		"// F does.\nfunc F() {}":                       {1, 1},
		"//go:noinline\nfunc F() {}":                    {1, 0},
		"// f does.\nfunc f() {}":                       {0, 0},
		"// M does.\nfunc (t *T) M() {}":                {1, 1},
		"// M does.\nfunc (t *T[K]) M() {}":             {1, 1},
		"func (T[K, V]) M() {}":                         {1, 0},
		"// M does.\nfunc (t *hidden) M() {}":           {0, 0},
		"// T is.\ntype T struct{ F, G int }":           {1, 1},
		"type T struct {\n\t// F is.\n\tF int\n}":       {1, 0},
		"const A, b, C = 1, 2, 3 // Numbers.":           {2, 2},
		"var (\n\t// A is.\n\tA int\n\tB int\n)":        {2, 1},
		"// Numbers.\nconst (\n\tA = iota\n\tB\n\tC\n)": {3, 3},
	} {
		c := count(t, "a.go", "package a\n\n"+decl+"\n")
		if got := [2]int{c.exported, c.documented}; got != want {
			t.Errorf("%q: exported, documented = %v, want %v", decl, got, want)
		}
	}
}

func TestTestFile(t *testing.T) {
	got := count(t, "a/a_test.go", "package a\n\n// T is no source.\nfunc T() {}\n")
	if diff := cmp.Diff(counts{testLines: 4}, got, cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestBrokenFile(t *testing.T) {
	if _, err := countFile("a/b.go", []byte("package")); err == nil || !strings.HasPrefix(err.Error(), "a/b.go:1:") {
		t.Errorf("error %v: want one that begins with the place", err)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		numbers []int
		want    spread
	}{
		{nil, spread{}},
		{[]int{7}, spread{7, 7, 7}},
		{[]int{2, 1}, spread{2, 2, 2}},
		{[]int{3, 1, 2}, spread{2, 3, 3}},
		{[]int{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, spread{5, 9, 10}},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, spread{7, 13, 14}},
	} {
		if got := spreadOf(c.numbers); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.numbers, got, c.want)
		}
	}
}

func TestLongFunctions(t *testing.T) {
	got := counts{functions: []int{maxFunction, maxFunction + 1}}.figures()
	if got.LongFunctions != 1 || got.Functions != 2 {
		t.Errorf("%d of %d functions are long, want 1 of 2", got.LongFunctions, got.Functions)
	}
}
