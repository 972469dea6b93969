// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// BenchmarkRecord tells what counting costs the agent's loop: for one ping, with the
// exemplars that are due at a rate far above that of any scrape.
func BenchmarkRecord(b *testing.B) {
	t := thirty()
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%t", kept), func(b *testing.B) {
			r, err := New(Options{HostName: "node-1"})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Record(t, kept)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.Spans)), "ns/span")
		})
	}
}

// BenchmarkScrape tells what gathering costs when there are as many series as there
// may be.
func BenchmarkScrape(b *testing.B) {
	r, err := New(Options{HostName: "node-1"})
	if err != nil {
		b.Fatal(err)
	}
	for i := range DefaultMaxSeries {
		d := &trace.Device{NetNS: hypervisor, Name: fmt.Sprintf("veth%d", i)}
		r.Record(grow(trace.Complete, parent(trace.KindRequest, d, leaf(trace.KindTransmit, d, int64(300+i)))), true)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
