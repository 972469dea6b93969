// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// A guest pings its host over a veth pair. The events are those that the kernel
// reports of the request and of the reply; what they become is a tree of spans.
func Example() {
	c := correlate.New(correlate.Options{
		Resolver: correlate.Numbers{}, // or one that knows the names
		Emit: func(t *trace.Trace) {
			for _, s := range t.Spans {
				fmt.Printf("%s%s (%s) %d ns\n", strings.Repeat("  ", int(s.Depth)), s.Name(), s.NetNS.Name, s.Duration())
			}
		},
	})
	type device struct{ netns, index uint32 } // inode number of the namespace, interface index
	guest, host := device{4026532201, 2}, device{4026531840, 7}
	addr := event.AddressFrom(netip.MustParseAddr("10.0.0.2"))
	peer := event.AddressFrom(netip.MustParseAddr("10.0.0.1"))
	request := event.Event{Type: event.EchoRequest, Seq: 1, SKB: 0x1000, Src: addr, Dst: peer}
	reply := event.Event{Type: event.EchoReply, Seq: 1, SKB: 0x2000, Src: peer, Dst: addr}
	seen := func(ev event.Event, time uint64, at device, hook event.Hook) {
		ev.Time, ev.NetNS, ev.IfIndex, ev.Hook = time, at.netns, at.index, hook
		c.Add(&ev)
	}
	// The kernel says which device is the other end of a pair.
	arrives := func(ev event.Event, time uint64, at device, hook event.Hook, from device) {
		ev.Flags, ev.Peer = event.Paired, event.Place{NetNS: from.netns, IfIndex: from.index}
		seen(ev, time, at, hook)
	}
	seen(request, 1_000, guest, event.NetDevQueue)
	seen(request, 1_400, guest, event.NetDevStartXmit)
	arrives(request, 3_100, host, event.NetifRx, guest)
	arrives(request, 5_000, host, event.NetifReceiveSKB, guest)
	seen(reply, 9_000, host, event.NetDevQueue)
	seen(reply, 9_300, host, event.NetDevStartXmit)
	arrives(reply, 10_800, guest, event.NetifRx, host)
	arrives(reply, 12_000, guest, event.NetifReceiveSKB, host)
	seen(reply, 15_000, guest, event.SKBCopyDatagramIovec)
	c.Advance(60e9) // a minute later on the events' clock: every ping is over

	// Output:
	// ping (netns-4026532201) 14000 ns
	//   echo request (netns-4026532201) 8000 ns
	//     transmit if2 (netns-4026532201) 400 ns
	//     link if2 -> if7 (netns-4026532201) 1700 ns
	//     deliver (netns-4026531840) 5900 ns
	//       softirq wait (netns-4026531840) 1900 ns
	//       stack (netns-4026531840) 4000 ns
	//   echo reply (netns-4026531840) 6000 ns
	//     transmit if7 (netns-4026531840) 300 ns
	//     link if7 -> if2 (netns-4026531840) 1500 ns
	//     deliver (netns-4026532201) 4200 ns
	//       softirq wait (netns-4026532201) 1200 ns
	//       stack (netns-4026532201) 3000 ns
}
