// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/dwelltrace/dwell/internal/check/source"
)

// Module is the path before the packages that the rules name.
const Module = "github.com/dwelltrace/dwell/"

// Package is what `go list -json` says about a package, without its tests.
type Package struct {
	ImportPath string
	Standard   bool
	// Imports are the direct ones; Deps are those and the indirect ones.
	Imports, Deps []string
}

// Graph holds the packages of a module and everything that they depend on.
type Graph map[string]Package

// ImportRule restricts what some packages may depend on. Patterns name packages of
// this module without [Module]; others stand in full.
type ImportRule struct {
	Of     []string
	Except []string
	// Never may not be reached, not even indirectly.
	Never []string
	// NeverDirect may not be imported. The standard library's own packages reach
	// os and syscall, so that only this is of use for those.
	NeverDirect []string
	// Only, if not nil, lists all that may be reached outside of the standard
	// library.
	Only []string
	// Apart may be reached each, but not both.
	Apart [2][]string
	Why   string
}

// ImportRules returns the rules of this project.
func ImportRules() []ImportRule {
	return append(firewallRules(), []ImportRule{
		{
			Of: []string{"correlate/..."}, Only: []string{"correlate/...", "github.com/dchest/siphash"},
			NeverDirect: []string{"os/...", "net", "net/http/...", "syscall", "unsafe", "math/rand/...", "crypto/rand", "C"},
			Why:         "the correlator is a pure function of its events",
		},
		{
			Of:    []string{"exporter/..."},
			Never: []string{"correlate", "correlate/event", "bpf/...", "internal/agent/...", "internal/study/lab/...", "github.com/cilium/ebpf/..."},
			Why:   "an exporter knows only the trace",
		},
		{
			Of:    []string{"bpf/..."},
			Never: []string{"correlate", "correlate/trace", "exporter/...", "internal/agent/...", "fastpath/..."},
			Why:   "the kernel side knows only the event record",
		},
		{
			Of:    []string{"internal/study/lab/...", "internal/netns/...", "internal/study/pinger/...", "internal/echo/...", "internal/privilege/..."},
			Never: []string{"correlate/...", "exporter/...", "bpf/...", "internal/agent/..."},
			Why:   "the lab is a network and not a tracer",
		},
		{
			Of:    []string{"internal/config/...", "internal/tenantdir/..."},
			Never: []string{"correlate/...", "exporter/...", "bpf/...", "internal/agent/...", "internal/daemon/..."},
			Why:   "a configuration is data, and tested as such",
		},
		{
			Of: []string{"internal/loss/..."}, Only: []string{"internal/loss/..."},
			Why: "the list of losses is data, for every side to read",
		},
		{
			Of: []string{"internal/tenant/..."}, Only: []string{"internal/tenant/..."},
			Why: "who owns what is data, for tracing, firewall and fast path to apply",
		},
		{
			Of:    []string{"internal/study/..."},
			Never: []string{"bpf/...", "exporter/...", "fastpath/...", "internal/agent/...", "internal/daemon/...", "internal/config/..."},
			Why:   "the study reproduces the paper from traces alone",
		},
		{
			Of: []string{"..."}, Except: []string{"cmd/...", "internal/study/...", "internal/check/..."},
			Never: []string{"internal/study/..."},
			Why:   "what runs in production does without the study",
		},
		{
			Of: []string{"..."}, Except: []string{"internal/check/..."},
			Never: []string{"internal/check/..."},
			Why:   "what checks the project is not part of the program",
		},
		{
			// fairness runs an agent to see every trace without the cost of a file.
			Of: []string{"..."}, Except: []string{"cmd/...", "internal/agent/...", "internal/daemon/...", "internal/check/fairness"},
			Apart: [2][]string{{"bpf/..."}, {"correlate", "exporter/..."}},
			Why:   "only cmd, internal/agent and internal/daemon see all",
		},
	}...)
}

// firewallRules are those for what acts on packets.
func firewallRules() []ImportRule {
	return []ImportRule{
		{
			Of:    []string{"fastpath/..."},
			Never: []string{"correlate/...", "exporter/...", "bpf/...", "internal/agent/..."},
			Why:   "the fast path loads, fails and is tested without the tracing",
		},
		{
			Of:    []string{"fastpath/header/...", "fastpath/ruleset/...", "fastpath/diagram/...", "fastpath/iptables/...", "fastpath/scope/...", "fastpath/isolation/..."},
			Never: []string{"github.com/cilium/ebpf/...", "github.com/vishvananda/netlink/...", "internal/netns/..."},
			Why:   "what rules mean is a pure function of them, and is tested without a kernel",
		},
	}
}

// LoadGraph asks the go command for the packages of the module in dir.
func LoadGraph(ctx context.Context, dir string) (Graph, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", dir, err, stderr.Bytes())
	}
	graph := Graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return graph, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		graph[strings.TrimPrefix(p.ImportPath, Module)] = p
	}
}

// CheckImports returns what breaks the rules.
func CheckImports(graph Graph, rules []ImportRule) []string {
	var broken []string
	for _, rule := range rules {
		for name, pkg := range graph {
			ours := strings.HasPrefix(pkg.ImportPath, Module)
			if ours && source.Match(name, rule.Of...) && !source.Match(name, rule.Except...) {
				broken = append(broken, rule.check(graph, name, pkg)...)
			}
		}
	}
	return broken
}

func (r ImportRule) check(graph Graph, name string, pkg Package) []string {
	var broken []string
	report := func(verb, what string) {
		broken = append(broken, fmt.Sprintf("%s %s %s: %s", name, verb, what, r.Why))
	}
	for _, dep := range pkg.Imports {
		if source.Match(dep, r.NeverDirect...) {
			report("imports", dep)
		}
	}
	reached := []string{name}
	for _, dep := range pkg.Deps {
		short := strings.TrimPrefix(dep, Module)
		reached = append(reached, short)
		if source.Match(short, r.Never...) || r.Only != nil && !graph[short].Standard && !source.Match(short, r.Only...) {
			report("depends on", short)
		}
	}
	one, other := firstMatch(reached, r.Apart[0]), firstMatch(reached, r.Apart[1])
	if one != "" && other != "" {
		report("joins", one+" and "+other)
	}
	return broken
}

// firstMatch returns the first name that matches one of the patterns, or "".
func firstMatch(names, patterns []string) string {
	for _, name := range names {
		if source.Match(name, patterns...) {
			return name
		}
	}
	return ""
}
