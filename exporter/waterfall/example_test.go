// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/waterfall"
)

// A ping over a veth pair, as a terminal of 72 columns shows it.
func Example() {
	guest, host := &trace.NetNS{Name: "guest"}, &trace.NetNS{Name: "host"}
	veth := &trace.Device{NetNS: guest, Index: 2, Name: "veth0"}
	peer := &trace.Device{NetNS: host, Index: 7, Name: "veth1"}

	// In a program, traces come from a correlator.
	t := &trace.Trace{ID: trace.ID{15: 1}, Outcome: trace.Complete}
	t.Ping = trace.Ping{Src: netip.MustParseAddr("10.0.0.2"), Dst: netip.MustParseAddr("10.0.0.1"), Seq: 1}
	ping := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: guest, End: 14_000})
	request := t.Add(ping, trace.Span{Kind: trace.KindRequest, NetNS: guest, End: 8_000})
	t.Add(request, trace.Span{Kind: trace.KindTransmit, Leaf: true, NetNS: guest, Device: veth, End: 400})
	t.Add(request, trace.Span{Kind: trace.KindLink, Leaf: true, NetNS: guest, Device: veth, Peer: peer, Start: 400, End: 2_100})
	t.Add(request, trace.Span{Kind: trace.KindDeliver, Leaf: true, NetNS: host, Device: peer, Start: 2_100, End: 8_000})
	reply := t.Add(ping, trace.Span{Kind: trace.KindReply, NetNS: host, Start: 8_000, End: 14_000})
	t.Add(reply, trace.Span{Kind: trace.KindTransmit, Leaf: true, NetNS: host, Device: peer, Start: 8_000, End: 8_300})
	t.Add(reply, trace.Span{Kind: trace.KindLink, Leaf: true, NetNS: host, Device: peer, Peer: veth, Start: 8_300, End: 9_800})
	t.Add(reply, trace.Span{Kind: trace.KindDeliver, Leaf: true, NetNS: guest, Device: veth, Start: 9_800, End: 14_000})

	if err := waterfall.Write(os.Stdout, t, waterfall.Options{Width: 72}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ping 10.0.0.2 -> 10.0.0.1  seq 1  rtt 14.000 µs  complete
	// trace 00000000000000000000000000000001
	//
	// SPAN                             SERVICE  0         14.000 µs      DWELL
	// ────────────────────────────────────────────────────────────────────────
	// ping 10.0.0.2 -> 10.0.0.1 seq 1  guest    ███████████████████  14.000 µs
	// ├─ echo request                  guest    ██████████▊           8.000 µs
	// │  ├─ transmit veth0             guest    ▌                       400 ns
	// │  ├─ link veth0 -> veth1        guest    ▐█▊                   1.700 µs
	// │  └─ deliver                    host       ▐███████▊           5.900 µs
	// └─ echo reply                    host               ▐████████   6.000 µs
	//    ├─ transmit veth1             host               ▐▎            300 ns
	//    ├─ link veth1 -> veth0        host                ██▎        1.500 µs
	//    └─ deliver                    guest                 ██████   4.200 µs
}
