// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"fmt"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// A trace is a tree of spans in depth-first order. The correlator builds it; an
// exporter walks over it. This one is of a request that was delivered and not answered.
func Example() {
	guest, host := &trace.NetNS{Name: "guest"}, &trace.NetNS{Name: "host"}
	veth := &trace.Device{NetNS: guest, Index: 2, Name: "veth0"}
	peer := &trace.Device{NetNS: host, Index: 7, Name: "veth1"}

	t := &trace.Trace{Ping: trace.Ping{Seq: 17}, Outcome: trace.Incomplete, Cause: trace.CauseNoReply}
	root := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: guest, Start: 0, End: 12_000})
	request := t.Add(root, trace.Span{Kind: trace.KindRequest, NetNS: guest, Start: 0, End: 12_000})
	t.Add(request, trace.Span{Kind: trace.KindTransmit, NetNS: guest, Device: veth, Start: 0, End: 400, Leaf: true})
	t.Add(request, trace.Span{Kind: trace.KindLink, NetNS: guest, Device: veth, Peer: peer, Start: 400, End: 3_100, Leaf: true})
	t.Add(request, trace.Span{Kind: trace.KindDeliver, NetNS: host, Device: peer, Start: 3_100, End: 12_000, Leaf: true})

	for _, s := range t.Spans {
		fmt.Printf("%s%s (%s) %d ns\n", strings.Repeat("  ", int(s.Depth)), s.Name(), s.NetNS.Name, s.Duration())
	}
	// Output:
	// ping (guest) 12000 ns
	//   echo request (guest) 12000 ns
	//     transmit veth0 (guest) 400 ns
	//     link veth0 -> veth1 (guest) 2700 ns
	//     deliver (host) 8900 ns
}
