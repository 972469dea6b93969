// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dwelltrace/dwell/internal/check/agentproc"
)

// configuration of the agent: lab and endpoint.
const configuration = `
trace:
  netns: ["%[1]s-*"]
  hypervisors: ["%[1]s-bridge-hypervisor"]
  netfilter: [none]
export:
  otlp: {endpoint: "http://%[2]s"}
log: {level: warn}
`

// agent is dwell agent as a process.
type agent struct{ *agentproc.Agent }

func startAgent(ctx context.Context, program, prefix, endpoint string, stderr io.Writer) (agent, error) {
	a, err := agentproc.Start(ctx, program, fmt.Sprintf(configuration, prefix, endpoint), stderr)
	return agent{a}, err
}

// sample asks the agent for its own metrics.
func (a agent) sample(ctx context.Context) (sample, error) {
	metrics, err := a.Metrics(ctx)
	if err != nil {
		return sample{}, err
	}
	value := func(name string) float64 {
		if !metrics.Has(name) {
			err = errors.Join(err, fmt.Errorf("dwell agent has no metric %s", name))
		}
		return metrics.Sum(name)
	}
	s := sample{
		rss: value("process_resident_memory_bytes"), heap: value("go_memstats_heap_alloc_bytes"),
		goroutines: value("go_goroutines"), files: value("process_open_fds"), open: value("dwell_agent_traces_open"),
		traced: value("dwell_pings_total"), lost: value("dwell_agent_events_lost_total") + value("dwell_agent_events_missed_total"),
		queued: value("dwell_agent_export_spans_queued"),
	}
	return s, err
}

// caughtUp waits until the agent has traced so many pings and has sent their spans.
func (a agent) caughtUp(ctx context.Context, sent int) (s sample, err error) {
	err = a.Until(ctx, fmt.Sprintf("dwell agent has traced and sent %d pings", sent), func() (bool, error) {
		s, err = a.sample(ctx)
		s.sent = sent
		return err == nil && s.traced >= float64(sent) && s.queued == 0, err
	})
	if err != nil {
		err = fmt.Errorf("%w (%.0f traced, %.0f spans to send)", err, s.traced, s.queued)
	}
	return s, err
}
