// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/internal/check/archtest"
)

func TestArrows(t *testing.T) {
	packages := map[string]counts{
		".":   {imports: []string{"example.org/m/a", "example.org/m/a", "fmt"}},
		"a":   {imports: []string{"example.org/m/a/b", "example.org/mm/a"}},
		"a/b": {imports: []string{"example.org/m", "example.org/m/generated"}},
		"fmt": {},
	}
	want := graph{".": {"a": 1}, "a": {"a/b": 1}, "a/b": {".": 1}}
	if diff := cmp.Diff(want, arrowsOf("example.org/m", packages)); diff != "" {
		t.Errorf("arrows (-want +got):\n%s", diff)
	}
}

// The go command knows who imports whom, too, if only for this machine's
// architecture and without nested modules.
func TestArrowsOfThisTree(t *testing.T) {
	const root = "../../.."
	listed, err := archtest.LoadGraph(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	report, err := measure(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	arrows := 0
	for from, pkg := range listed {
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, archtest.Module)
			if !ours || !strings.HasPrefix(pkg.ImportPath, archtest.Module) {
				continue
			}
			arrows++
			if report.Imports[from][to] != 1 {
				t.Errorf("%s imports %s, and there is no arrow", from, to)
			}
		}
	}
	if got := report.Imports.arrows(); arrows == 0 || got != arrows {
		t.Errorf("%d arrows, the go command lists %d", got, arrows)
	}
}

func TestBetween(t *testing.T) {
	g := graph{
		"cmd/x":            {"internal/a": 1, "internal/study/b": 1, "lib": 1},
		"internal/a":       {"internal/c": 1, "internal/d": 1},
		"internal/check/e": {"internal/a": 1, "internal/c": 1},
	}
	want := graph{
		"cmd":            {"internal": 1, "internal/study": 1, "lib": 1},
		"internal":       {"internal": 2},
		"internal/check": {"internal": 2},
	}
	got := g.between(groupOf)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("arrows between groups (-want +got):\n%s", diff)
	}
	if n := got.arrows(); n != g.arrows() || n != 7 {
		t.Errorf("%d arrows between groups and %d between packages, want 7", n, g.arrows())
	}
	if in, out := got.fan("internal"); in != 3 || out != 0 {
		t.Errorf("fan of internal = %d in, %d out; want 3 in and none out: arrows inside do not count", in, out)
	}
	if in, out := got.fan("cmd"); in != 0 || out != 3 {
		t.Errorf("fan of cmd = %d in, %d out; want none in and 3 out", in, out)
	}
}

func TestCycles(t *testing.T) {
	for _, c := range []struct {
		name string
		g    graph
		want [][]string
	}{
		{"tree", graph{"a": {"b": 1, "c": 1}, "b": {"d": 1}, "c": {"d": 1}}, [][]string{}},
		{"inside a group", graph{"a": {"a": 1}}, [][]string{}},
		{"two", graph{"a": {"b": 1}, "b": {"a": 1, "c": 1}, "c": {"d": 1}}, [][]string{{"a", "b"}}},
		{"indirect", graph{"c": {"a": 1}, "a": {"b": 1}, "b": {"c": 1}, "d": {"a": 1}}, [][]string{{"a", "b", "c"}}},
		{"apart", graph{"a": {"b": 1}, "b": {"a": 1, "c": 1}, "c": {"d": 1}, "d": {"c": 1}}, [][]string{{"a", "b"}, {"c", "d"}}},
	} {
		if diff := cmp.Diff(c.want, c.g.cycles()); diff != "" {
			t.Errorf("%s: cycles (-want +got):\n%s", c.name, diff)
		}
	}
}
