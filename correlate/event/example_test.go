// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"fmt"
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/event"
)

// An event is one packet, seen at one hook, at one time.
func Example() {
	ev := event.Event{
		Time:    81_652_100_003_124, // nanoseconds since boot
		Hook:    event.NetDevStartXmit,
		NetNS:   4026532201,
		IfIndex: 2,
		Type:    event.EchoRequest,
		Seq:     17,
		Src:     event.AddressFrom(netip.MustParseAddr("10.0.0.2")),
		Dst:     event.AddressFrom(netip.MustParseAddr("10.0.0.1")),
	}
	fmt.Printf("%d %s: %s %d, %s -> %s\n", ev.Time, ev.Hook, ev.Type, ev.Seq, ev.Src.Addr(), ev.Dst.Addr())
	// Output: 81652100003124 net_dev_start_xmit: request 17, 10.0.0.2 -> 10.0.0.1
}
