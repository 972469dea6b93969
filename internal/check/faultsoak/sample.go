// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dwelltrace/dwell/internal/check/agentproc"
)

const mib = 1 << 20

// sample is how it is at one time.
type sample struct {
	at   time.Duration
	step string
	// rss and heap are in bytes.
	rss, heap, files, goroutines float64
	// events were read and gated left out on purpose; lost found no room, missed may have been some.
	events, gated, lost, missed float64
	// open are pings; sent, given, queued and spooled are spans, accepted, given up and waiting.
	open, sent, given, queued, spooled float64
	// probes are results of the agent's own pings, answered those that are a success.
	probes, answered float64
	reloads          float64
	// pinged were sent and accounted for, received have arrived.
	pinged, received, refused int
}

func (s *soak) sample(ctx context.Context) (out sample, err error) {
	m, err := s.agent.Metrics(ctx)
	if err != nil {
		return out, err
	}
	for _, v := range []struct {
		to   *float64
		name string
	}{
		{&out.rss, "process_resident_memory_bytes"},
		{&out.heap, "go_memstats_heap_alloc_bytes"},
		{&out.files, "process_open_fds"},
		{&out.goroutines, "go_goroutines"},
		{&out.events, "dwell_agent_events_total"},
		{&out.gated, "dwell_agent_events_gated_total"},
		{&out.lost, "dwell_agent_events_lost_total"},
		{&out.missed, "dwell_agent_events_missed_total"},
		{&out.open, "dwell_agent_traces_open"},
		{&out.sent, "dwell_agent_export_spans_sent_total"},
		{&out.given, "dwell_agent_export_spans_lost_total"},
		{&out.queued, "dwell_agent_export_spans_queued"},
		{&out.spooled, "dwell_agent_export_spans_spooled"},
		{&out.reloads, "dwell_agent_config_reloads_total"},
	} {
		if !m.Has(v.name) {
			err = errors.Join(err, fmt.Errorf("dwell agent has no metric %s", v.name))
		}
		*v.to = m.Sum(v.name)
	}
	out.count(m)
	s.mu.Lock()
	out.step = s.current
	s.mu.Unlock()
	out.at = time.Since(s.begin)
	out.pinged, out.received = s.ledger.counts()
	out.refused = int(s.sink.Counts().Refused)
	return out, err
}

// count takes the results of probes, which are not there before the first.
func (s *sample) count(m agentproc.Metrics) {
	s.probes = m.Sum("dwell_probe_results_total")
	s.answered = m.Sum("dwell_probe_results_total", "dwell_probe_result", "success")
}

// watch takes a sample every second until ctx is done.
func (s *soak) watch(ctx context.Context) error {
	printHead(s.out)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := s.sample(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.samples = append(s.samples, now)
		s.mu.Unlock()
		if now.at >= next {
			now.print(s.out)
			next = now.at + s.every
		}
	}
}

func printHead(w io.Writer) {
	fmt.Fprintf(w, "%8s %-15s %8s %8s %5s %9s %9s %8s %8s %8s %8s %8s %9s %7s %7s\n",
		"elapsed", "wrong", "RSS MiB", "heap MiB", "files", "pings", "arrived", "queued", "spooled", "given up", "refused", "events/k", "left out/k", "lost", "probes")
}

func (s *sample) print(w io.Writer) {
	fmt.Fprintf(w, "%8s %-15s %8.1f %8.1f %5.0f %9d %9d %8.0f %8.0f %8.0f %8d %8.0f %9.0f %7.0f %7.0f\n", s.at.Round(time.Second), s.step, s.rss/mib, s.heap/mib,
		s.files, s.pinged, s.received, s.queued, s.spooled, s.given, s.refused, s.events/1000, s.gated/1000, s.lost, s.probes)
}
