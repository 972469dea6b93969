// SPDX-License-Identifier: Apache-2.0

package netfilter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
)

// A rule that iptables or the kernel refuses is named, also among many, and nothing changes.
func TestRefused(t *testing.T) {
	refused := map[string]struct {
		rule netfilter.Rule
		says string
	}{
		"unknown match":  {netfilter.Rule{Matches: "-m nosuch --thing 1", Target: "DROP"}, "Couldn't load match `nosuch'"},
		"unknown target": {netfilter.Rule{Target: "NOSUCH"}, "NOSUCH'"},
		"bad value":      {netfilter.Rule{Matches: "-p tcp -m tcp --dport 99999", Target: "DROP"}, "invalid port/service `99999'"},
		"only the kernel knows": {
			netfilter.Rule{Target: "REJECT", Options: "--reject-with tcp-reset"}, "",
		},
		"wrong table": {netfilter.Rule{Matches: "-p tcp", Target: "TPROXY", Options: "--on-port 1"}, ""},
		"two lines":   {netfilter.Rule{Matches: "-p tcp\n-A FORWARD", Target: "DROP"}, "one line"},
		"long line":   {overlong(":FORWARD DROP [0:0] "), "at most 8192"},
		"to forward":  {netfilter.Rule{Target: "FORWARD"}, "cannot jump to FORWARD"},
	}
	eachKind(t, func(t *testing.T, w *world) {
		w.apply(full(header.V4))
		before := w.saved()
		for name, c := range refused {
			l := many(300)
			rule := &l.Chains[0].Rules[217]
			rule.Matches, rule.Target, rule.Options = c.rule.Matches, c.rule.Target, c.rule.Options
			got := new(netfilter.RuleError)
			if err := w.Test(t.Context(), l); !errors.As(err, &got) || got.ID != 218 || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: test returned %v", name, err)
			}
			if err := w.Apply(t.Context(), l); !errors.As(err, &got) || got.ID != 218 && got.ID != 0 {
				t.Errorf("%s: apply returned %v", name, err)
			}
		}
		if diff := cmp.Diff(before, w.saved()); diff != "" {
			t.Errorf("what was refused changed something (-before +after):\n%s", diff)
		}
	})
}

// overlong returns a rule of which iptables-restore would take a part for another line.
func overlong(line string) netfilter.Rule {
	const buffer = 10239
	long := strings.Repeat(`-m comment --comment "`+strings.Repeat("a", 200)+`" `, 45)
	begin := len(`[0:0] -A dwell-red `+long) + len(`-m comment --comment "`)
	long += `-m comment --comment "` + strings.Repeat("b", buffer-begin) + line + `"`
	return netfilter.Rule{Matches: long, Target: "DROP"}
}

// What is accepted in a test may refer to a set that only the host has.
func TestHostOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		l := full(header.V4)
		l.Chains[0].Rules = append(l.Chains[0].Rules, netfilter.Rule{ID: 99, Matches: "-m set --match-set nosuch src", Target: "DROP"})
		if err := w.Test(t.Context(), l); err != nil {
			t.Error(err)
		}
		if err := w.Apply(t.Context(), l); err == nil {
			t.Error("a set that is not there was accepted")
		}
	})
}

func TestNoBit(t *testing.T) {
	eachKind(t, func(t *testing.T, w *world) {
		l := full(header.V4)
		l.Bit = 0
		if err := w.Apply(t.Context(), l); !errors.As(err, new(*netfilter.BitError)) || !strings.Contains(err.Error(), "chain deeper") {
			t.Errorf("apply returned %v", err)
		}
	})
}

// Somebody holds the lock: it is said who, and nothing is changed.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	t.Setenv("XTABLES_LOCKFILE", path)
	w := newWorld(t, netfilter.Legacy)
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	impatient, err := netfilter.Find(t.Context(), netfilter.Options{NetNS: w.ns, Kind: netfilter.Legacy, LockWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = impatient.Apply(t.Context(), full(header.V4))
	got := new(netfilter.LockedError)
	if !errors.As(err, &got) {
		t.Fatalf("got %v", err)
	}
	if want := fmt.Sprintf("(process %d)", os.Getpid()); !strings.HasSuffix(got.Holder, want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want %s", err, want)
	}
	if out := w.run("iptables-save"); strings.Contains(out, "dwell") {
		t.Errorf("something was changed: %s", out)
	}
}

// A program that does not end is stopped.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"iptables-legacy-restore": "#!/bin/sh\n[ \"$1\" = --version ] && echo 'iptables-restore v1.8.9 (legacy)' && exit\nexec sleep 600\n",
		"iptables-legacy-save":    "#!/bin/sh\nexec sleep 600\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	tables, err := netfilter.Find(t.Context(), netfilter.Options{Kind: netfilter.Legacy, Timeout: time.Millisecond, LockWait: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tables.Installed(t.Context(), header.V4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Each kind is chosen if it has rules, and else what the host calls iptables.
func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		rules []netfilter.Kind
		want  netfilter.Kind
	}{
		"legacy":  {[]netfilter.Kind{netfilter.Legacy}, netfilter.Legacy},
		"nft":     {[]netfilter.Kind{netfilter.NFT}, netfilter.NFT},
		"both":    {[]netfilter.Kind{netfilter.Legacy, netfilter.NFT}, netfilter.NFT}, // as Debian has it
		"neither": {nil, netfilter.NFT},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, netfilter.NFT)
			for _, kind := range c.rules {
				(&world{t, mustFind(t, netfilter.Options{NetNS: w.ns, Kind: kind}), w.ns}).run("ip6tables", "-P", "FORWARD", "DROP")
			}
			got := mustFind(t, netfilter.Options{NetNS: w.ns})
			if got.Kind() != c.want || got.Version() == "" || !got.Has(header.V4) || !got.Has(header.V6) {
				t.Errorf("got %v", got)
			}
		})
	}
	if _, err := netfilter.Find(t.Context(), netfilter.Options{Kind: "pf"}); err == nil || !strings.Contains(err.Error(), `"pf" is not a kind`) {
		t.Errorf("got %v", err)
	}
}

func mustFind(t *testing.T, o netfilter.Options) *netfilter.Tables {
	t.Helper()
	tables, err := netfilter.Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// Pinned programs are asked before the rules.
func TestPrograms(t *testing.T) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "pass")
	if err := prog.Pin(path); err != nil {
		t.Fatal(err)
	}
	eachKind(t, func(t *testing.T, w *world) {
		for _, family := range families() {
			l := full(family)
			l.Programs = netfilter.Programs{FromTagged: path, FromPass: path, FromDrop: path, ToPass: path, ToDrop: path}
			w.apply(l)
			got := w.installed(family).Chains
			for _, b := range netfilter.Blocks(t, l) {
				if diff := cmp.Diff(b.Lines, got[b.Name]); diff != "" {
					t.Errorf("chain %s (-written +installed):\n%s", b.Name, diff)
				}
			}
		}
		l := full(header.V4)
		l.Programs.FromPass = path + "-gone"
		if err := w.Apply(t.Context(), l); err == nil {
			t.Error("a program that is not there was accepted")
		}
	})
}
