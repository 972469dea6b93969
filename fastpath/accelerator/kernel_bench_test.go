// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"testing"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/liberal"
)

// BenchmarkSettle decides about flows again and again: this is what bounds how many may begin in a second.
func BenchmarkSettle(b *testing.B) {
	l := newLab(b)
	l.start(flow.On)
	conn, err := liberal.Open(l.hv)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct {
		name         string
		conversation *conversation
	}{{"udp", l.udp()}, {"tcp", l.tcp()}} {
		c.conversation.fast()
		_, pairs, err := l.m.pairs(Query{Operator: true}, func(*flow.Flow) bool { return true })
		if err != nil {
			b.Fatal(err)
		}
		var candidate bypass.Candidate
		for _, p := range pairs {
			if text, _ := packetOf(p.forth.Key.Tuple); text == c.conversation.packet {
				candidate = bypass.Candidate{Forth: p.forth.Key, ID: p.forth.ID, Back: p.back.Key, BackID: p.back.ID}
			}
		}
		b.Run(c.name, func(b *testing.B) {
			before := l.m.tally.of(1).approved
			for b.Loop() {
				if err := l.m.settle(l.m.programs, conn, l.m.judge.Load(), candidate); err != nil {
					b.Fatal(err)
				}
			}
			if n := l.m.tally.of(1).approved - before; n < uint64(b.N) {
				b.Errorf("%d of %d were approved", n, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "flows/s")
		})
	}
}
