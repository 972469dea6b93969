// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// An ICMP error that quotes only a part of the packet, or nothing of its payload, is about the
// ping all the same, on both sides of NAT. It is not about another with other addresses.
func TestShortQuotes(t *testing.T) {
	for _, quoted := range []int{0, 4, 8, 12, 16} {
		s := newSim()
		p := s.request(1)
		other := s.request(1)
		other.id = 78
		for _, q := range []*packet{other, p} {
			q.skb += uint64(q.id) << 12
			q.cross(vethA, va)
			q.nat()
			q.at(ens3, event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		}
		e := p.failure(11, 0)
		clear(e.payload[quoted:])
		e.at(ens3, event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
		e.src, e.id = guestAddr, 77
		e.cross(va, vethA)
		e.at(vethA, event.SKBCopyDatagramIovec)
		traces, st := run(s.events, correlate.Options{})
		if len(traces) != 2 || st.Expired != 1 || st.Incomplete[trace.CauseNoReply] != 1 || st.Stray != 0 {
			t.Fatalf("%d bytes quoted: %+v\n%s", quoted, st, renderAll(traces, st))
		}
		for _, tr := range traces {
			if (tr.Outcome == trace.Expired) != (tr.Ping.ID == 77) {
				t.Errorf("%d bytes quoted:\n%s", quoted, render(tr))
			}
		}
	}
}
