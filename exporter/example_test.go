// SPDX-License-Identifier: Apache-2.0

package exporter_test

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/table"
)

// slow is an exporter that prints the pings that took too long.
type slow struct {
	limit int64 // ns

	mu   sync.Mutex // an exporter may be called concurrently
	sent exporter.Count
}

func (s *slow) Export(_ context.Context, traces []*trace.Trace) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range traces {
		if took := t.Root().Duration(); took > s.limit {
			fmt.Println("slow:", t.Ping.Seq, took, "ns")
		}
	}
	s.sent = s.sent.Plus(exporter.CountOf(traces...))
	return nil
}

func (s *slow) Shutdown(context.Context) error { return nil } // nothing is held back

func (s *slow) Stats() exporter.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return exporter.Stats{Sent: s.sent}
}

// An exporter of your own, next to one of dwell's.
func Example() {
	ctx := context.Background()
	summary := table.New(0)
	out := exporter.Multi{&slow{limit: 100_000}, summary}

	for seq, took := range []int64{20_000, 150_000} { // in a program, traces come from a correlator
		t := &trace.Trace{Ping: trace.Ping{Seq: uint16(seq)}, Outcome: trace.Complete}
		t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, End: took})
		if err := out.Export(ctx, []*trace.Trace{t}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if err := out.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Println("each got", summary.Stats().Sent)
	// Output:
	// slow: 1 150000 ns
	// each got 2 traces (2 spans)
}
