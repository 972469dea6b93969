// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
)

// Every ping is counted in a registry, which promhttp.HandlerFor serves as /metrics.
func Example() {
	recorder, err := metrics.New(metrics.Options{HostName: "worker-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(recorder)

	t := &trace.Trace{Outcome: trace.Complete, Sent: true}
	root := t.Add(trace.NoParent, trace.Span{Kind: trace.KindPing, NetNS: &trace.NetNS{Name: "guest"}, End: 14_000})
	t.Add(root, trace.Span{Kind: trace.KindReply, Start: 8_000, End: 14_000})
	recorder.Record(t, false) // false: the trace itself is not exported

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, family := range families {
		if family.GetName() == "dwell_ping_duration_seconds" {
			pings := family.GetMetric()[0].GetHistogram()
			fmt.Printf("%s: count %d, sum %g\n", family.GetName(), pings.GetSampleCount(), pings.GetSampleSum())
		}
	}
	// Output: dwell_ping_duration_seconds: count 1, sum 1.4e-05
}

// An agent's own metrics are read from what it says of itself whenever they are gathered.
func ExampleNewAgentCollector() {
	stats := func() metrics.AgentStats {
		return metrics.AgentStats{Events: 1200, Losses: metrics.Losses{RingFull: 3}}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewAgentCollector(metrics.Options{HostName: "worker-1"}, stats))

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, family := range families {
		if family.GetName() == "dwell_agent_events_lost_total" {
			fmt.Println(family.GetHelp(), family.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output: Events lost because the ring buffer was full. 3
}
