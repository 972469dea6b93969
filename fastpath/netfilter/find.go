// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Kind is one of the two implementations of iptables, which do not see each other's rules.
type Kind string

// The kinds.
const (
	Legacy Kind = "legacy"
	NFT    Kind = "nft"
)

// Options say where and how iptables is run.
type Options struct {
	// NetNS is the network namespace; nil is the process's.
	NetNS *netns.NS
	// Kind is which iptables to use. "" is the one that has rules, and if neither or both
	// have, the one that the host calls iptables.
	Kind Kind
	// LockWait is how long to wait for another iptables to finish, in whole seconds; 0 is
	// [DefaultLockWait].
	LockWait time.Duration
	// Timeout is how long one run may take, beside waiting; 0 is [DefaultTimeout].
	Timeout time.Duration
}

// Defaults of [Options].
const (
	DefaultLockWait = 5 * time.Second
	DefaultTimeout  = time.Minute
)

// Tables is the host's iptables and ip6tables in one namespace. Its methods may be called by
// several goroutines; those that change one family must not overlap.
type Tables struct {
	options Options
	version string
	tools   map[header.Family]tools
}

// tools are paths of programs.
type tools struct{ save, restore string }

// Find finds the programs. The error says what to install.
func Find(ctx context.Context, o Options) (*Tables, error) {
	var found []*Tables
	for _, kind := range []Kind{NFT, Legacy} {
		if o.Kind != "" && o.Kind != kind {
			continue
		}
		if t := locate(ctx, o, kind); t != nil {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return nil, missing(o.Kind)
	case 1:
		return found[0], nil
	}
	nft, legacy := found[0], found[1]
	byNFT, byLegacy := nft.used(ctx), legacy.used(ctx)
	if byNFT != byLegacy && byNFT || byNFT == byLegacy && usual(ctx, o) != Legacy {
		return nft, nil
	}
	return legacy, nil
}

// missing says what to install.
func missing(kind Kind) error {
	switch kind {
	case "":
		return fmt.Errorf("there is no iptables-restore: install the package iptables (on Debian: apt-get install iptables)")
	case Legacy, NFT:
		return fmt.Errorf("there is no iptables-%s-restore: install the package iptables (on Fedora: iptables-%s), or choose another kind of iptables", kind, kind)
	}
	return fmt.Errorf("%q is not a kind of iptables: use %s or %s", kind, Legacy, NFT)
}

// locate returns the programs of a kind, or nil if there are none for IPv4.
func locate(ctx context.Context, o Options, kind Kind) *Tables {
	o.Kind = kind
	t := &Tables{options: o, tools: map[header.Family]tools{}}
	for family, name := range map[header.Family]string{header.V4: "iptables", header.V6: "ip6tables"} {
		for _, prefix := range []string{name + "-" + string(kind), name} {
			p := tools{save: lookPath(prefix + "-save"), restore: lookPath(prefix + "-restore")}
			if p.save == "" || p.restore == "" {
				continue
			}
			version, is := t.ask(ctx, p.restore)
			if is != kind {
				continue
			}
			t.tools[family] = p
			if family == header.V4 {
				t.version = version
			}
			break
		}
	}
	if _, ok := t.tools[header.V4]; !ok {
		return nil
	}
	return t
}

// usual returns the kind that the host calls iptables, or "".
func usual(ctx context.Context, o Options) Kind {
	path := lookPath("iptables-restore")
	if path == "" {
		return ""
	}
	_, kind := (&Tables{options: o}).ask(ctx, path)
	return kind
}

var versionText = regexp.MustCompile(`v(\d[\w.]*)(?: \((\w+)\))?`)

// ask asks a program for its version and kind. Before there were two kinds there was no word
// for it.
func (t *Tables) ask(ctx context.Context, path string) (string, Kind) {
	out, err := t.run(ctx, "", path, "--version")
	found := versionText.FindStringSubmatch(out)
	if err != nil || found == nil {
		return "", ""
	}
	if found[2] == "nf_tables" {
		return found[1], NFT
	}
	return found[1], Legacy
}

// used reports whether there is a rule, or a policy that is not ACCEPT, in any table.
func (t *Tables) used(ctx context.Context) bool {
	for _, p := range t.tools {
		out, err := t.run(ctx, "", p.save)
		if err != nil {
			continue
		}
		for l := range strings.Lines(out) {
			if strings.HasPrefix(l, "-A ") || strings.HasPrefix(l, ":") && strings.Contains(l, " DROP ") {
				return true
			}
		}
	}
	return false
}

// lookPath finds a program where administrators' programs are, also for a process without them
// in its PATH. "" if there is none.
func lookPath(name string) string {
	dirs := append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin", "/usr/local/sbin")
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// Kind returns which iptables it is.
func (t *Tables) Kind() Kind { return t.options.Kind }

// Version returns "1.8.9".
func (t *Tables) Version() string { return t.version }

// String returns "iptables 1.8.9 (legacy)".
func (t *Tables) String() string { return fmt.Sprintf("iptables %s (%s)", t.version, t.Kind()) }

// Has reports whether there are programs for the family. Where there are none, as on a host
// without ip6tables, the family cannot have rules.
func (t *Tables) Has(family header.Family) bool {
	_, ok := t.tools[family]
	return ok
}

// toolsOf returns the programs for a family.
func (t *Tables) toolsOf(family header.Family) (tools, error) {
	p, ok := t.tools[family]
	if !ok {
		return p, fmt.Errorf("there are no programs of %s for IPv%d: install ip6tables", t, family)
	}
	return p, nil
}
