// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/monitor"
)

// BenchmarkSecond is what a second with a thousand pings costs apart from reading them: ten
// batches, ten pictures.
func BenchmarkSecond(b *testing.B) {
	v := newView(monitor.Options{Color: true}, 150, 50)
	v.connect(summary(0))
	var traces []*trace.Trace
	for n := range 100 {
		traces = append(traces, nth(n, start))
	}
	b.ReportAllocs()
	for b.Loop() {
		for range 10 {
			v.now = v.now.Add(100 * time.Millisecond)
			for _, t := range traces {
				t.Rebase(v.now.UnixNano() - t.Root().End)
			}
			v.Update(monitor.Batch{At: v.now, Traces: traces})
			_ = v.Draw()
		}
	}
}
