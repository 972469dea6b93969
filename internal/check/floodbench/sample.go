// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const mib = 1 << 20

// sample is what the agent has counted and holds at one time.
type sample struct {
	at time.Duration
	// rss and heap are in bytes, cpu in seconds.
	rss, heap, cpu float64
	// events were read; gated were left out on purpose, lost found no room, and missed may have
	// been some.
	events, gated, lost, missed float64
	// pings were traced, gatedPings left out, about; open are under way.
	pings, gatedPings, open float64
	// sampledOut are traces. sent, given and queued are spans: accepted, given up and waiting.
	sampledOut, sent, given, queued float64
	// once is set if no event is both read and left out.
	once bool
	// taken is how many spans the endpoint has.
	taken float64
}

// seen is how many events there have been, as far as is known.
func (s *sample) seen() float64 { return s.events + s.gated + s.lost }

func (b *bench) sample(ctx context.Context) (s sample, err error) {
	m, err := b.agent.Metrics(ctx)
	if err != nil {
		return s, err
	}
	for _, v := range []struct {
		to   *float64
		name string
	}{
		{&s.rss, "process_resident_memory_bytes"},
		{&s.heap, "go_memstats_heap_alloc_bytes"},
		{&s.cpu, "process_cpu_seconds_total"},
		{&s.events, "dwell_agent_events_total"},
		{&s.gated, "dwell_agent_events_gated_total"},
		{&s.lost, "dwell_agent_events_lost_total"},
		{&s.missed, "dwell_agent_events_missed_total"},
		{&s.gatedPings, "dwell_agent_pings_gated_total"},
		{&s.open, "dwell_agent_traces_open"},
		{&s.sampledOut, "dwell_agent_traces_sampled_out_total"},
		{&s.sent, "dwell_agent_export_spans_sent_total"},
		{&s.given, "dwell_agent_export_spans_lost_total"},
		{&s.queued, "dwell_agent_export_spans_queued"},
	} {
		if !m.Has(v.name) {
			err = errors.Join(err, fmt.Errorf("dwell agent has no metric %s", v.name))
		}
		*v.to = m.Sum(v.name)
	}
	s.pings = m.Sum("dwell_pings_total") // not there before the first
	// These two are not there in an agent that does not choose in the kernel by sampling.ratio. It
	// counts what it discards after it was read as left out, too.
	s.gated += m.Sum("dwell_agent_events_sampled_out_total")
	s.once = m.Has("dwell_agent_events_discarded_total")
	s.taken = float64(b.sink.Counts().Spans)
	return s, err
}

func printHead(w io.Writer) {
	fmt.Fprintf(w, "%8s %9s %9s %11s %11s %9s %11s %9s %8s %8s\n",
		"elapsed", "RSS MiB", "heap MiB", "events/s", "left out/s", "lost/s", "spans/s", "given up", "queued", "CPU µs/e")
}

// print writes what happened since the last time.
func (s *sample) print(w io.Writer, last sample) {
	rate := func(now, before float64) float64 { return (now - before) / (s.at - last.at).Seconds() }
	cpu := 0.0
	if n := s.events - last.events; n > 0 {
		cpu = (s.cpu - last.cpu) / n * 1e6
	}
	fmt.Fprintf(w, "%8s %9.1f %9.1f %11.0f %11.0f %9.0f %11.0f %9.0f %8.0f %8.2f\n", s.at.Round(time.Second), s.rss/mib, s.heap/mib,
		rate(s.events, last.events), rate(s.gated, last.gated), rate(s.lost, last.lost), rate(s.taken, last.taken), s.given, s.queued, cpu)
}
