// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"context"
	"fmt"
	"os"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/table"
)

// A hundred pings, of which the first takes 1 µs in the bridge and each later one
// 1 µs longer than the one before.
func Example() {
	summary := table.New(0)
	host := &trace.NetNS{Name: "host"}
	port := &trace.Device{NetNS: host, Index: 3, Name: "veth1", Bridge: "br0"}
	for i := range int64(100) {
		end := 1_000 * (i + 1)
		t := &trace.Trace{Outcome: trace.Complete}
		ping := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: host, End: end})
		request := t.Add(ping, trace.Span{Kind: trace.KindRequest, NetNS: host, End: end})
		t.Add(request, trace.Span{Kind: trace.KindBridge, Leaf: true, NetNS: host, Device: port, End: end})
		if err := summary.Export(context.Background(), []*trace.Trace{t}); err != nil {
			fmt.Println(err)
		}
	}
	if err := summary.Write(os.Stdout, table.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// DIRECTION  SPAN            SERVICE  COUNT       MEAN        P50        P99
	//            ping            host       100  50.500 µs  50.000 µs  99.000 µs
	// request      echo request  host       100  50.500 µs  50.000 µs  99.000 µs
	// request        bridge br0  host       100  50.500 µs  50.000 µs  99.000 µs
}
