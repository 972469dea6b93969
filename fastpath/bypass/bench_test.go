// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// many is how many flows the benchmarks have.
const many = 100_000

// putMany writes entries in bulk.
func putMany(t testing.TB, b *Bypass, n int, e plainFlow) {
	t.Helper()
	keys, entries := make([]plainKey4, n), make([]plainFlow, n)
	for i := range n {
		k := udp(true, i)
		keys[i], entries[i] = key4(&k), e
		entries[i].Id = uint64(i + 1)
	}
	if _, err := b.maps[plainMapFlows4].BatchUpdate(keys, entries, &ebpf.BatchOptions{}); err != nil {
		t.Fatal(err)
	}
	use(t, b, e.Slot, int64(n))
}

// benched opens the programs with many flows.
func benched(b *testing.B) *Bypass {
	b.Helper()
	l := newLab(b, 0)
	by, err := Open(Options{Pin: l.pin, NetNS: l.ns})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		by.Close()
		if err := Remove(l.pin, l.ns); err != nil {
			b.Error(err)
		}
	})
	putMany(b, by, many, plainFlow{Slot: 1})
	return by
}

// BenchmarkFlows lists all flows.
func BenchmarkFlows(b *testing.B) {
	by := benched(b)
	for b.Loop() {
		n := 0
		if err := by.Flows(func(*flow.Flow) bool {
			n++
			return true
		}); err != nil || n != many {
			b.Fatalf("%d flows: %v", n, err)
		}
	}
	b.ReportMetric(float64(many*b.N)/b.Elapsed().Seconds(), "flows/s")
}

// BenchmarkApprove looks up and approves both directions of a flow.
func BenchmarkApprove(b *testing.B) {
	by := benched(b)
	i := 0
	for b.Loop() {
		i = (i + 2) % many
		forth, back, err := by.Look(Candidate{Forth: udp(true, i), Back: udp(true, i+1), ID: uint64(i + 1), BackID: uint64(i + 2)})
		if err != nil {
			b.Fatal(err)
		}
		if err := by.Approve(forth, back, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "approvals/s")
}

// BenchmarkSweep removes all flows.
func BenchmarkSweep(b *testing.B) {
	by := benched(b)
	for first := true; b.Loop(); first = false {
		if !first {
			b.StopTimer()
			putMany(b, by, many, plainFlow{Slot: 1})
			b.StartTimer()
		}
		if n, err := by.Sweep(b.Context(), time.Second); err != nil || n != many {
			b.Fatalf("%d went: %v", n, err)
		}
	}
}
