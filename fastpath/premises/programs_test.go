// SPDX-License-Identifier: Apache-2.0

package premises_test

import (
	"math"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/internal/netns"
)

// hook attaches a program that accepts all packets to a hook of netfilter, until the link is closed.
func hook(t *testing.T, ns *netns.NS, name string, priority int32) link.Link {
	t.Helper()
	const accept = 1
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, accept), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var l link.Link
	err = ns.Do(func() (err error) {
		l, err = link.AttachNetfilter(link.NetfilterOptions{
			Program: p, ProtocolFamily: link.NetfilterProtoIPv4, Hook: link.NetfilterInetForward, Priority: priority,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A program of somebody's at a hook of netfilter is a rule that nobody can read, in its own namespace, until
// it is gone. Those of dwell's tracer only look.
func TestProgramsAtHooks(t *testing.T) {
	ns, other := space(t), space(t)
	unread := func(of *netns.NS) (string, *premises.Premises) {
		t.Helper()
		f, err := premises.Read(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		return f.Unread(), f.For(header.V6, red(), local())
	}
	nothing := func(what string, of *netns.NS) {
		t.Helper()
		if why, p := unread(of); why != "" || p.NoDrop != "" || p.NoTag != "" {
			t.Errorf("%s: %q, %+v", what, why, p)
		}
	}
	nothing("no program", ns)
	hook(t, ns, event.NetfilterFirst.Info().Name, math.MinInt32+2)
	hook(t, ns, event.NetfilterLast.Info().Name, math.MaxInt32-2)
	nothing("the tracer's", ns)
	for _, c := range []struct {
		name     string
		priority int32
	}{
		{"shaper", -7},
		{"shaper", math.MinInt32 + 3},
		{"netfilter_first", -300},
		{"netfilter_last", 300},
		{"netfilter_first", math.MaxInt32 - 3},
		{"netfilter_last", math.MinInt32 + 3},
	} {
		l := hook(t, ns, c.name, c.priority)
		why, p := unread(ns)
		if !strings.Contains(why, `"`+c.name+`"`) || !strings.Contains(why, "netfilter") || strings.HasSuffix(why, ".") {
			t.Errorf("%s at %d: %q", c.name, c.priority, why)
		}
		if p.NoDrop != why || p.NoTag != why || len(p.Defer) == 0 {
			t.Errorf("%s at %d: the firewall may decide: %+v", c.name, c.priority, p)
		}
		nothing("another namespace", other)
		l.Close()
		nothing("gone", ns)
	}
	hook(t, ns, "one", 1)
	hook(t, ns, "two", 2)
	hook(t, ns, "two", 3)
	if why, _ := unread(ns); strings.Count(why, `"one"`) != 1 || strings.Count(why, `"two"`) != 2 {
		t.Errorf("several: %q", why)
	}
}

// How long it takes to list the programs.
func BenchmarkFingerprints(b *testing.B) {
	f := premises.NewFingerprints(nil)
	defer f.Close()
	for b.Loop() {
		if _, err := f.Take(); err != nil {
			b.Fatal(err)
		}
	}
}
