// SPDX-License-Identifier: Apache-2.0

package view

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// BenchmarkOf makes the views of a ping to the world and of one between two tenants.
func BenchmarkOf(b *testing.B) {
	for name, t := range map[string]*trace.Trace{
		"world":  made(trace.Complete, redOut(), &part{kind: trace.KindRespond, from: outside}, redIn()),
		"tenant": made(trace.Complete, redToBlue(), &part{kind: trace.KindRespond, from: blueEth}, blueToRed()),
		"whole":  made(trace.Complete, redOut()[:6], &part{kind: trace.KindBeyond, from: ens}, redIn()[2:]),
	} {
		b.Run(name, func(b *testing.B) {
			v := Viewer{Tenant: "red"}
			b.ReportAllocs()
			for b.Loop() {
				if v.Of(t) == nil {
					b.Fatal("nothing is seen")
				}
			}
		})
	}
}
