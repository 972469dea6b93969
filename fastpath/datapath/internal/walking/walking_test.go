// SPDX-License-Identifier: Apache-2.0

package walking

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(tb testing.TB) *Walker {
	tb.Helper()
	w, err := Load()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = w.Close() })
	return w
}

// compare returns the leaves of the kernel, which are those of Go.
func (w *Walker) compare(tb testing.TB, d *diagram.Diagram, packets []header.Packet) {
	tb.Helper()
	for _, err := range []error{w.SetDiagram(d), w.SetPackets(packets)} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	leaves, err := w.Leaves()
	if err != nil {
		tb.Fatal(err)
	}
	for i, leaf := range leaves {
		at, o := d.Judge(&packets[i])
		if want := diagram.LeafBit | uint32(o.Verdict)<<diagram.VerdictShift | at; leaf != want {
			tb.Fatalf("packet %v: leaf %#x, and Go says %#x", packets[i].Words, leaf, want)
		}
	}
}

// The kernel walks as Go does.
func TestWalkEqualsGo(t *testing.T) {
	w, total := load(t), 0
	for _, f := range synth.Flavours() {
		for _, n := range []int{1, 10, 100, 1000} {
			for seed := range uint64(8) {
				rules := synth.Make(f, n, seed)
				if seed%2 == 1 {
					rules = rules.V6()
				}
				d, err := diagram.Compile(rules.Set(), diagram.Options{Stateless: seed%4 == 3})
				if err != nil {
					t.Fatal(err)
				}
				packets := synth.Packets(rules, Packets, seed)
				w.compare(t, d, packets)
				total += len(packets)
			}
		}
	}
	if total < 1e6 {
		t.Errorf("%d packets", total)
	}
}

// What should not be there is deferred, in the kernel as in Go.
func TestBrokenDiagram(t *testing.T) {
	w := load(t)
	for name, nodes := range map[string][]diagram.Node{
		"circle":       {{}},
		"no such node": {{8: 7, 9: 7, 10: 7, 11: 7, 12: 7, 13: 7, 14: 7, 15: 7}},
		"no nodes":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			d := &diagram.Diagram{Nodes: nodes, Leaves: []ruleset.Outcome{{Verdict: ruleset.Defer}}}
			w.compare(t, d, []header.Packet{synth.Plain(header.V4)})
			if leaf, o := d.Judge(&header.Packet{}); leaf != 0 || o.Verdict != ruleset.Defer {
				t.Error(leaf, o)
			}
		})
	}
}

// A word that no packet has is 0, and not what is beside the packet.
func TestUnknownWord(t *testing.T) {
	const zero = diagram.LeafBit | uint32(ruleset.Drop)<<diagram.VerdictShift | 1
	n := diagram.Node{0: 31 | 7<<8, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: zero}
	for i := 9; i < len(n); i++ {
		n[i] = diagram.LeafBit | uint32(ruleset.Defer)<<diagram.VerdictShift
	}
	d := &diagram.Diagram{Nodes: []diagram.Node{n}, Leaves: []ruleset.Outcome{{Verdict: ruleset.Defer}, {Verdict: ruleset.Drop}}}
	load(t).compare(t, d, []header.Packet{synth.Plain(header.V4)})
	if leaf, _ := d.Judge(&header.Packet{}); leaf != 1 {
		t.Error(leaf)
	}
}

// What a walk costs, for one packet and for 8192 that are all different:
//
//	go test -run '^$' -bench Walk -benchtime 1x ./fastpath/datapath/internal/walking
func BenchmarkWalk(b *testing.B) {
	w := load(b)
	for _, f := range synth.Flavours() {
		for _, n := range []int{1, 10, 100, 1000, 10000} {
			rules := synth.Make(f, n, 1)
			b.Run(fmt.Sprintf("%s/%d/v4", f, n), func(b *testing.B) { w.benchmark(b, rules) })
			b.Run(fmt.Sprintf("%s/%d/v6", f, n), func(b *testing.B) { w.benchmark(b, rules.V6()) })
		}
	}
}

func (w *Walker) benchmark(b *testing.B, rules *synth.Rules) {
	d, err := diagram.Compile(rules.Set(), diagram.Options{})
	if err != nil {
		b.Skip(err)
	}
	w.compare(b, d, synth.Packets(rules, Packets, 1))
	var t Time
	for b.Loop() {
		if t, err = w.Time(1_000_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64((t.Same - t.Nowhere).Nanoseconds()), "ns/same")
	b.ReportMetric(float64((t.Next - t.Nowhere).Nanoseconds()), "ns/next")
	b.ReportMetric(float64(t.Nowhere.Nanoseconds()), "ns/nowhere")
	b.ReportMetric(float64(d.Depth), "depth")
	b.ReportMetric(float64(len(d.Nodes))/16, "KiB")
}
