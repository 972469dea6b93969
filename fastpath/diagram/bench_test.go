// SPDX-License-Identifier: Apache-2.0

package diagram_test

import (
	"fmt"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/internal/check/firewall/synth"
)

// How long compiling takes, and what comes of it:
//
//	go test -run '^$' -bench Compile ./fastpath/diagram
func BenchmarkCompile(b *testing.B) {
	for _, f := range synth.Flavours() {
		for _, n := range []int{1, 10, 100, 1000, 10000} {
			rules := synth.Make(f, n, 1)
			b.Run(fmt.Sprintf("%s/%d/v4", f, n), func(b *testing.B) { benchmarkCompile(b, rules) })
			b.Run(fmt.Sprintf("%s/%d/v6", f, n), func(b *testing.B) { benchmarkCompile(b, rules.V6()) })
		}
	}
}

func benchmarkCompile(b *testing.B, of *synth.Rules) {
	rules := of.Set()
	var d *diagram.Diagram
	for b.Loop() {
		var err error
		if d, err = diagram.Compile(rules, diagram.Options{}); err != nil {
			b.Skip(err)
		}
	}
	b.ReportMetric(float64(len(d.Nodes)), "nodes")
	b.ReportMetric(float64(len(d.Nodes)*diagram.NodeBytes)/1024, "KiB")
	b.ReportMetric(float64(d.Depth), "depth")
	b.ReportMetric(float64(len(d.Leaves)), "leaves")
}

// How long it takes to compare a diagram with its rules before it is loaded.
func BenchmarkVerify(b *testing.B) {
	for _, f := range synth.Flavours() {
		for _, n := range []int{100, 10000} {
			for _, stateless := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%d/stateless=%v", f, n, stateless), func(b *testing.B) {
					rules, o := synth.Make(f, n, 1).Set(), diagram.Options{Stateless: stateless}
					d, err := diagram.Compile(rules, o)
					if err != nil {
						b.Skip(err)
					}
					for b.Loop() {
						if err := d.Verify(rules, o, 1); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
