// SPDX-License-Identifier: Apache-2.0

package changes_test

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/dwelltrace/dwell/fastpath/changes"
)

// That somebody's program comes to a hook of netfilter, or goes, is a change of rules.
func TestProgramsAtHooks(t *testing.T) {
	w := watch(t, "ip link set lo up")
	const accept = 1
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "shaper", Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, accept), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 {
		var l link.Link
		err := w.ns.Do(func() (err error) {
			l, err = link.AttachNetfilter(link.NetfilterOptions{
				Program: p, ProtocolFamily: link.NetfilterProtoIPv6, Hook: link.NetfilterInetPreRouting, Priority: 7,
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		changed := func(c changes.Change) bool { return c.Kind.Has(changes.All | changes.Rules) }
		w.await("a program comes", changed)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		w.await("a program goes", changed)
	}
}
