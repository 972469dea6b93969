// SPDX-License-Identifier: Apache-2.0

package datapath

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// expectFrom compares what the rules of the chain "from" count: tagged, pass, drop, the rest.
func (l *lab) expectFrom(t *testing.T, v6 bool, want ...uint64) {
	t.Helper()
	eventually(t, want, func() []uint64 { return l.counted("legacy", v6, "from") })
}

// A tag is about the destination that the packet had when it arrived.
func TestTranslatedIsJudgedAgain(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	l.restore("legacy", false, `*nat
-A PREROUTING -d 198.51.100.9 -j DNAT --to-destination 198.51.100.2
-A POSTROUTING -o br -j SNAT --to-source 192.0.2.1
COMMIT
`)
	l.layout(d, "legacy")
	swap(t, d, everywhere(always(ruleset.Pass)))
	f := guestFrame()
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 1, 0, 0, 0)
	f.dst = "198.51.100.9"
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 1, 1, 0, 0)
	// The guest's answer is to the address that the world's packet had got.
	in := frame{src: "198.51.100.2", dst: "192.0.2.10", mac: []byte{2, 0, 0, 0, 2, 1}, proto: header.UDP, ttl: 64, sport: 40, dport: 41}
	l.send(l.world, "w0", in.bytes())
	eventually(t, []uint64{0, 1, 0, 0}, func() []uint64 { return l.counted("legacy", false, "to") })
	f.dst, f.sport, f.dport = "192.0.2.1", 41, 40
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 1, 2, 0, 0)
}

// A tag of the generation before is not believed, nor is one that nobody gave.
func TestTagOfAnotherGeneration(t *testing.T) {
	l := newLab(t)
	d := l.by(hows()[0])
	l.layout(d, "legacy")
	generation := swap(t, d, everywhere(always(ruleset.Pass)))
	f := guestFrame()
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 1, 0, 0, 0)
	l.beside(hows()[0], false, asm.Instructions{
		asm.Mov.Imm(asm.R2, int32((generation+1)&1<<15|2)), asm.StoreMem(asm.R1, 44, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, -1), asm.Return(),
	})
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 1, 1, 0, 0)
}

// What is not described by its words is left to iptables' rules in FORWARD, too.
func TestForwardGuards(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	l.layout(d, "legacy")
	swap(t, d, everywhere(always(ruleset.Pass)))
	for i, g := range []guard{
		{name: "options", change: func(f *frame) { f.options = []byte{1, 1, 1, 0} }},
		{name: "first fragment", change: func(f *frame) { f.fragment = 0x2000 }},
		{name: "later fragment", change: func(f *frame) { f.fragment = 7 }},
		{name: "short TCP", change: short(header.TCP, 19)},
		{name: "short UDP", change: short(header.UDP, 7)},
	} {
		l.send(l.guest, "g0", g.packet())
		l.expectFrom(t, false, 0, 0, 0, uint64(i+1))
	}
	for i, g := range []guard{
		{name: "destination options", v6: true, change: func(f *frame) { f.extension = 60 }},
		{name: "fragment", v6: true, change: func(f *frame) { f.extension = 44 }},
		{name: "short TCP", v6: true, change: short(header.TCP, 19)},
	} {
		l.send(l.guest, "g0", g.packet())
		l.expectFrom(t, true, 0, 0, 0, uint64(i+1))
	}
}

// A kernel of which the state of a connection cannot be known leaves all to iptables' rules.
func TestForwardWithoutState(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	d.kernel.nfConnStatus = 0
	spec, err := d.spec(loadPlain)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.openPrograms(spec, nil, true); err != nil {
		t.Fatal(err)
	}
	l.layout(d, "legacy")
	swap(t, d, everywhere(always(ruleset.Pass)))
	f := guestFrame()
	l.send(l.guest, "g0", f.bytes())
	l.expectFrom(t, false, 0, 0, 0, 1)
}

// The kernel takes a VLAN's tag out of the packet before TC sees it.
func TestVLANOnTheWire(t *testing.T) {
	l := newLab(t)
	d := l.attached()
	swap(t, d, everywhere(always(ruleset.Drop)))
	l.send(l.guest, "g0", guard{change: func(f *frame) { f.vlan = true }}.packet())
	eventually(t, "map[vlan:1]", func() string { return fmt.Sprint(l.counts(d).Deferred) })
}
