// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// finalChunk is how many traces are exported at once when the run is over: each chunk
// may wait in the exporter for as long as its queue says, rather than all of them
// together.
const finalChunk = 32

// iterationWait is for how long an exporter that does not take what it gets may hold up one
// iteration of the loop.
const iterationWait = 5 * time.Second

// finished is a trace to be handed on, or not if events of it were left out.
type finished struct {
	trace  *trace.Trace
	partly bool
	// threshold is what it has passed if its events do not say so, otherwise 0.
	threshold uint64
}

// send moves the finished traces to the wall clock, counts those that are wanted and
// hands them on. It stops at Options.Count.
func (a *Agent) send(ctx context.Context, now uint64) {
	offset := a.clock.Offset(now)
	addresses := a.watcher.addresses()
	n := 0 // how many of the batch are dealt with
	var wanted []*trace.Trace
	for ; n < len(a.batch) && !a.enough(); n++ {
		t := a.batch[n].trace
		if a.batch[n].partly || !concerns(t, addresses) {
			a.leaveOut(n)
			continue
		}
		if th := a.batch[n].threshold; th > 0 {
			a.passed(n, th)
		}
		t.Rebase(offset)
		a.summary.Add(t)
		if a.opts.OnTrace != nil {
			a.opts.OnTrace(t)
		}
		wanted = append(wanted, t)
	}
	if a.opts.OnTraces != nil && len(wanted) > 0 {
		a.opts.OnTraces(wanted)
	}
	a.export(ctx, wanted)
	if a.sinks.Recording != nil {
		a.sinks.Recording.Send(offset, len(a.batch), n)
	}
	clear(a.batch)
	a.batch = a.batch[:0]
}

// leaveOut has the recording know that a trace of the batch is not handed on.
func (a *Agent) leaveOut(i int) {
	if a.sinks.Recording != nil {
		a.sinks.Recording.LeaveOut(i)
	}
}

// passed notes, in the recording as well, what a trace of the batch has passed.
func (a *Agent) passed(i int, threshold uint64) {
	a.batch[i].trace.Threshold = threshold
	if a.sinks.Recording != nil {
		a.sinks.Recording.SetThreshold(i, threshold)
	}
}

// export hands traces to the exporter. What is lost is in its Stats and in the error of
// its Shutdown.
func (a *Agent) export(ctx context.Context, traces []*trace.Trace) {
	if a.sinks.Exporter == nil || len(traces) == 0 {
		return
	}
	if !a.finishing {
		a.exportLive(ctx, traces)
		return
	}
	for chunk := range slices.Chunk(traces, finalChunk) {
		_ = a.sinks.Exporter.Export(ctx, chunk)
	}
}

// exportLive hands traces to the exporter. One that does not take them all may hold up an
// iteration no longer than iterationWait in all: otherwise there is no room for events.
func (a *Agent) exportLive(ctx context.Context, traces []*trace.Trace) {
	ctx, cancel := context.WithTimeout(ctx, iterationWait-a.waited)
	defer cancel()
	start := time.Now()
	if err := a.sinks.Exporter.Export(ctx, traces); err == nil {
		a.waited = 0
		return
	}
	a.waited += time.Since(start)
}

// concerns reports whether the trace is of a ping that the filter's prefixes choose. The
// kernel side recognises the packets of a chosen ping by what no device changes, which
// somebody else's ping may share: same sequence number, same payload.
func concerns(t *trace.Trace, prefixes []netip.Prefix) bool {
	if len(prefixes) == 0 {
		return true
	}
	chosen := func(addr netip.Addr) bool {
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	if chosen(t.Ping.Src) || chosen(t.Ping.Dst) {
		return true
	}
	for i := range t.Spans {
		if src, dst := t.Spans[i].Packet.Addresses(); chosen(src) || chosen(dst) {
			return true
		}
	}
	return false
}

// shutdown lets the exporter send what it still has, and ends the recording.
func (a *Agent) shutdown(ctx context.Context) (err error) {
	if a.sinks.Exporter != nil {
		err = a.sinks.Exporter.Shutdown(ctx)
		a.summary.Export = a.sinks.Exporter.Stats()
	}
	return errors.Join(err, a.closeRecording())
}

// abandon closes sinks that were never used.
func (a *Agent) abandon() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	ctx, stop := WithIdleTimeout(over, a.sinks.Exporter, a.opts.IdleTimeout)
	defer stop()
	return a.shutdown(ctx)
}

func (a *Agent) closeRecording() error {
	if a.sinks.Recording == nil {
		return nil
	}
	return a.sinks.Recording.Close()
}
