// SPDX-License-Identifier: Apache-2.0

package otlpfile_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
)

// A trace as a line of OTLP/JSON, here on standard output.
func Example() {
	ctx := context.Background()
	file, err := otlpfile.New(otlpfile.Options{Path: otlpfile.Stdout}) // or the name of a file
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	t := &trace.Trace{ID: trace.ID{15: 1}, Outcome: trace.Complete}
	t.Add(trace.NoParent, trace.Span{
		ID: trace.SpanID{7: 1}, Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, Start: start, End: start + 14_000,
	})
	if err := file.Export(ctx, []*trace.Trace{t}); err != nil {
		fmt.Println(err)
	}
	if err := file.Shutdown(ctx); err != nil { // writes what is queued
		fmt.Println(err)
	}
	// Output:
	// {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"guest"}},{"key":"dwell.netns.inode","value":{"intValue":"0"}},{"key":"dwell.netns.name","value":{"stringValue":"guest"}}]},"scopeSpans":[{"scope":{"name":"github.com/dwelltrace/dwell"},"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"ping","kind":1,"startTimeUnixNano":"1772366400000000000","endTimeUnixNano":"1772366400000014000","attributes":[{"key":"dwell.kind","value":{"stringValue":"ping"}},{"key":"dwell.ns","value":{"intValue":"14000"}},{"key":"dwell.icmp.id","value":{"intValue":"0"}},{"key":"dwell.icmp.seq","value":{"intValue":"0"}},{"key":"dwell.icmp.payload_size","value":{"intValue":"0"}},{"key":"dwell.outcome","value":{"stringValue":"complete"}}],"flags":259}]}]}]}
}
