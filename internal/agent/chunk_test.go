// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// widest is an exporter that keeps nothing but how many traces came at once at most.
type widest struct {
	exporter.Multi
	traces atomic.Int64
}

func (w *widest) Export(_ context.Context, traces []*trace.Trace) error {
	w.traces.Store(max(w.traces.Load(), int64(len(traces))))
	return nil
}

// A reader that was held up finds thousands of pings in the ring buffer. It takes
// them in chunks, and no event is late for its trace.
func TestFullRingIsTakenInChunks(t *testing.T) {
	const count = 6000 // of some 40 events each
	// What stays open for the correlator's grace, at 50,000 pings a second, and a chunk.
	const atOnce = 3000
	l := bridge(t)
	pinged := make(chan struct{})
	hold := sync.OnceFunc(func() { <-pinged })
	w := &widest{}
	a, err := start(agent.Options{
		Filter: bpf.Filter{NetNS: inodes(l)}, Count: count,
		OnEvent: func(*event.Event) { hold() },
		Open:    func() (agent.Sinks, error) { return agent.Sinks{Exporter: w}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(pinged)
		ping(t, l, pinger.Config{Count: count, Flood: true})
	}()
	sum, err := a.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sum.Complete != count || sum.Pings() != count || sum.Lost() != 0 || sum.Correlator.Late != 0 {
		t.Error(sum)
	}
	if n := w.traces.Load(); n > atOnce {
		t.Errorf("%d traces at once, want no more than %d", n, atOnce)
	}
}

// A flood of pings writes events faster than traces can be made of them. What the ring has
// no room for waits in memory.
func TestBurstIsLargerThanTheRing(t *testing.T) {
	const count = 1000 // of some 2 KB each
	l := bridge(t)
	pinged := make(chan struct{})
	hold := sync.OnceFunc(func() { <-pinged })
	opts := agent.Options{
		BPF: bpf.Options{RingBytes: 1 << 20}, Count: count,
		OnEvent: func(*event.Event) { hold() },
	}
	_, sum := traced(t, l, opts, func() {
		defer close(pinged)
		ping(t, l, pinger.Config{Count: count, Flood: true})
	})
	if sum.Complete != count || sum.Pings() != count || sum.Lost() != 0 || sum.Correlator.Late != 0 {
		t.Error(sum)
	}
}
