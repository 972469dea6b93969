// SPDX-License-Identifier: Apache-2.0

package archtest_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/check/archtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The rules, each with what it finds in testdata/bad.
func rules() map[string]struct {
	check func(t *testing.T, dir string) ([]string, error)
	bad   []string
} {
	type rule = struct {
		check func(t *testing.T, dir string) ([]string, error)
		bad   []string
	}
	onTree := func(check func(fs.FS) ([]string, error)) func(*testing.T, string) ([]string, error) {
		return func(_ *testing.T, dir string) ([]string, error) { return check(os.DirFS(dir)) }
	}
	return map[string]rule{
		"imports": {
			func(t *testing.T, dir string) ([]string, error) {
				graph, err := archtest.LoadGraph(t.Context(), dir)
				return archtest.CheckImports(graph, archtest.ImportRules()), err
			},
			[]string{
				"correlate depends on bpf: the correlator is a pure function of its events",
				"correlate imports os/exec: the correlator is a pure function of its events",
				"correlate joins bpf and correlate: only cmd, internal/agent and internal/daemon see all",
				"exporter depends on correlate/event: an exporter knows only the trace",
				"fastpath depends on bpf: the fast path loads, fails and is tested without the tracing",
				"internal/agent depends on internal/check/probe: what checks the project is not part of the program",
				"internal/agent depends on internal/study/lab: what runs in production does without the study",
				"internal/loss depends on correlate/event: the list of losses is data, for every side to read",
				"internal/shortcut joins bpf and exporter: only cmd, internal/agent and internal/daemon see all",
				"internal/study/lab depends on bpf: the lab is a network and not a tracer",
				"internal/study/lab depends on bpf: the study reproduces the paper from traces alone",
				"internal/tenant depends on correlate/event: who owns what is data, for tracing, firewall and fast path to apply",
			},
		},
		"clock": {
			onTree(func(root fs.FS) ([]string, error) { return archtest.CheckClock(root, "correlate") }),
			[]string{
				"correlate/correlate.go:18 uses time.Now: time comes from the events",
				"correlate/correlate.go:29 uses time.Since: time comes from the events",
			},
		},
		"globals": {
			onTree(archtest.CheckGlobals),
			[]string{
				"correlate/correlate.go:25 package variable seen is assigned to: no global mutable state",
				"exporter/exporter.go:12 package variable lock is of package sync: no global mutable state",
				"exporter/exporter.go:22 package variable current is assigned to: no global mutable state",
			},
		},
		"hooks": {
			onTree(archtest.CheckHookOrder),
			[]string{
				"cmd/dwell/main_test.go:13 compares the order of hooks: their numbers have no order, use the table (event.Hooks)",
				"cmd/dwell/main_test.go:13 counts with hooks: their numbers have no order, use the table (event.Hooks)",
				"cmd/dwell/main_test.go:16 counts with hooks: their numbers have no order, use the table (event.Hooks)",
				"internal/shortcut/shortcut.go:17 compares the order of hooks: their numbers have no order, use the table (event.Hooks)",
				"internal/shortcut/shortcut.go:23 compares the order of hooks: their numbers have no order, use the table (event.Hooks)",
				"internal/shortcut/shortcut.go:28 counts with hooks: their numbers have no order, use the table (event.Hooks)",
				"internal/shortcut/shortcut.go:29 compares the order of hooks: their numbers have no order, use the table (event.Hooks)",
				"internal/shortcut/shortcut.go:32 counts with hooks: their numbers have no order, use the table (event.Hooks)",
			},
		},
		"directories": {
			onTree(archtest.CheckDirectories),
			[]string{
				"misc is not a top-level directory of this project: LICENSES bpf cmd correlate docs examples exporter fastpath internal",
			},
		},
		"map": {
			onTree(archtest.CheckMap),
			[]string{
				"docs/architecture.md names correlate/gone.go, which does not exist",
				"internal/shortcut is not in the map of docs/architecture.md: say there what it is for",
				"misc is not in the map of docs/architecture.md: say there what it is for",
			},
		},
		"stages": {
			onTree(archtest.CheckStages),
			[]string{
				"correlate/correlate.go:33 uses event.First: pairing and judging knows no hook, ask package packet",
				"correlate/packet/packet.go:9 uses event.EchoRequest: following a packet does not depend on what the packet is for",
			},
		},
		"wording": {
			onTree(archtest.CheckWording),
			[]string{
				`docs/wording.md:5 says "is no error": write "is not a" or "there is no"`,
				`docs/wording.md:5 says "is waited for": write "wait for", in the active voice`,
				`examples/wording.yaml:3 says "are looked into": write "traced", "read" or "inspected"`,
				`examples/wording.yaml:4 says "means nothing": write "matches nothing" or "has no meaning"`,
				`exporter/wording.go:10 says "since too many": write "because"`,
				`exporter/wording.go:13 says "is no duration": write "is not a" or "there is no"`,
			},
		},
		"programs": {
			onTree(archtest.CheckPrograms),
			[]string{"misc/built is a compiled program: remove it"},
		},
		"files": {
			onTree(archtest.CheckFiles),
			[]string{
				"bpf/short.h has no line SPDX-License-Identifier: GPL-2.0 OR Apache-2.0",
				"misc/misc.go has no line SPDX-License-Identifier: Apache-2.0",
			},
		},
	}
}

func TestThisTree(t *testing.T) {
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			broken, err := rule.check(t, "../../..")
			if err != nil {
				t.Fatal(err)
			}
			if len(broken) > 0 {
				t.Errorf("%d rules broken:\n%s", len(broken), strings.Join(broken, "\n"))
			}
		})
	}
}

// A rule that cannot fail holds nothing.
func TestBadTree(t *testing.T) {
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			broken, err := rule.check(t, "testdata/bad")
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(broken)
			if diff := cmp.Diff(rule.bad, broken); diff != "" {
				t.Errorf("broken rules (-want +got):\n%s", diff)
			}
		})
	}
}

// The graph has packages in it, and those that the rules are about.
func TestLoadGraph(t *testing.T) {
	graph, err := archtest.LoadGraph(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"correlate", "correlate/event", "correlate/trace", "exporter", "bpf", "cmd/dwell", "fmt"} {
		if graph[name].ImportPath == "" {
			t.Errorf("no package %s: the import rules name what does not exist", name)
		}
	}
}

func TestThirdPartyInCorrelate(t *testing.T) {
	graph := archtest.Graph{
		"correlate/trace":           {ImportPath: archtest.Module + "correlate/trace", Deps: []string{"time", "github.com/dchest/siphash", "golang.org/x/sys/unix"}},
		"time":                      {ImportPath: "time", Standard: true},
		"github.com/dchest/siphash": {ImportPath: "github.com/dchest/siphash"},
		"golang.org/x/sys/unix":     {ImportPath: "golang.org/x/sys/unix"},
	}
	want := []string{"correlate/trace depends on golang.org/x/sys/unix: the correlator is a pure function of its events"}
	if diff := cmp.Diff(want, archtest.CheckImports(graph, archtest.ImportRules())); diff != "" {
		t.Errorf("broken rules (-want +got):\n%s", diff)
	}
}

func TestLongFile(t *testing.T) {
	const spdx = "// SPDX-License-Identifier: Apache-2.0\n"
	root := fstest.MapFS{
		"cmd/just.go":          {Data: []byte(spdx + strings.Repeat("\n", archtest.MaxLines-1))},
		"cmd/long.go":          {Data: []byte(spdx + strings.Repeat("\n", archtest.MaxLines))},
		"cmd/testdata/long.go": {Data: []byte(strings.Repeat("\n", archtest.MaxLines+1))},
		".cache/long.go":       {Data: []byte(strings.Repeat("\n", archtest.MaxLines+1))},
		"cmd/made.go":          {Data: []byte("// Code generated by bpf2go; DO NOT EDIT.\n" + strings.Repeat("\n", archtest.MaxLines))},
	}
	broken, err := archtest.CheckFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"cmd/long.go has 401 lines: at most 400"}, broken); diff != "" {
		t.Errorf("broken rules (-want +got):\n%s", diff)
	}
}
