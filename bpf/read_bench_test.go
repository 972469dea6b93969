// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"slices"
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// BenchmarkRead measures the way of a record from the rings to an event: of one CPU after the other
// in runs of different lengths, and of CPUs by turns.
func BenchmarkRead(b *testing.B) {
	for _, bm := range []struct {
		name      string
		cpus, run int
	}{{"one CPU", 1, 1}, {"in runs", 2, 24}, {"by turns", 2, 1}} {
		b.Run(bm.name, func(b *testing.B) { benchmarkRead(b, bm.cpus, bm.run) })
	}
}

func benchmarkRead(b *testing.B, cpus, run int) {
	const records = 1 << 14
	w := newWriter(cpus, 1<<22)
	for i := range records {
		w.put(i/run%cpus, recordOfPing(i))
	}
	backlog, err := newBacklog(1 << 22)
	if err != nil {
		b.Fatal(err)
	}
	r := &reader{rings: w.rings, hooks: event.All(), backlog: backlog, made: make(chan struct{}, 1)}
	heads, written := make([]uint64, cpus), make([][]byte, cpus)
	for i, l := range w.shared {
		heads[i], written[i] = l.Head, slices.Clone(w.rings.all[i].records[:l.Head&positionMask])
	}
	sum := uint64(0)
	for b.Loop() {
		b.StopTimer()
		w.begin(0, 0)
		for i, l := range w.shared {
			l.Head = heads[i]
			copy(w.rings.all[i].records, written[i])
		}
		b.StartTimer()
		n, _, err := r.drain(1<<20, func(e *event.Event) { sum += e.Time })
		if n != records || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
	if err := backlog.close(); err != nil {
		b.Fatal(err)
	}
}

// recordOfPing returns the i-th of those that pings leave.
func recordOfPing(i int) []byte {
	h := kernelRecordHead{
		Hook: uint8(event.NetifRx), Type: uint8(event.EchoRequest), Skb: uint64(i), Netns: 4, Ifindex: 2,
		Parts: uint8(kernelRecordPartPART_ADDRESSES4), Id: 1, Seq: uint16(i), PayloadLen: 56, Ttl: 64,
	}
	parts := [][]byte{make([]byte, 8)}
	switch i % 4 {
	case 1:
		h.Hook = uint8(event.NetDevStartXmit)
	case 2:
		h.Parts |= uint8(kernelRecordPartPART_PEER)
		h.Flags = uint16(event.Paired)
		parts = append(parts, make([]byte, 8))
	}
	return join(h, parts...)
}
