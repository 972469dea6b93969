// SPDX-License-Identifier: Apache-2.0

package sampling_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/sampling"
	"github.com/dwelltrace/dwell/exporter/table"
)

// One of a hundred pings is exported, and every one that takes longer than 1 ms.
func Example() {
	ctx := context.Background()
	backend := table.New(0) // or any other exporter
	sampler, err := sampling.New(sampling.Options{Ratio: 0.01, KeepSlowerThan: time.Millisecond}, backend)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, took := range []time.Duration{50 * time.Microsecond, 2 * time.Millisecond} {
		t := &trace.Trace{ID: trace.ID{15: 1}, Outcome: trace.Complete}
		t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, End: took.Nanoseconds()})
		if err := sampler.Export(ctx, []*trace.Trace{t}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("exported:", backend.Stats().Sent)
	fmt.Println("left out:", sampler.SampledOut())
	// Output:
	// exported: 1 trace (1 span)
	// left out: 1 trace (1 span)
}
