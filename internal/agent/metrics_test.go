// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/metrics"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// TestMetricsAddUpToRealPings counts real pings through a hypervisor whose netfilter is
// looked at: the hops add up to the journeys, and the parts of a hypervisor to it.
func TestMetricsAddUpToRealPings(t *testing.T) {
	l := bridge(t)
	recorder, err := metrics.New(metrics.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hypervisor, err := l.Open(lab.Hypervisor)
	if err != nil {
		t.Fatal(err)
	}
	defer hypervisor.Close()
	const count = 20
	traces, _ := traced(t, l, agent.Options{Count: count, Netfilter: []*netns.NS{hypervisor}}, func() {
		ping(t, l, pinger.Config{Count: count, Interval: time.Millisecond})
	})
	want := map[string]int64{}
	for _, tr := range traces {
		if tr.Outcome != trace.Complete {
			t.Fatalf("%s is %s %s", tr.Ping, tr.Outcome, tr.Cause)
		}
		recorder.Record(tr, true)
		want["pings"]++
		rtt, _ := tr.RTT()
		want["round trips"] += rtt
		for i := range tr.Spans {
			switch s := &tr.Spans[i]; {
			case s.Kind.Journey():
				want["hops"] += s.Duration()
			case s.Kind == trace.KindHypervisor:
				want["hypervisors"] += s.Duration()
				want["parts of hypervisors"] += s.Duration()
			}
		}
	}
	if diff := cmp.Diff(want, sums(t, recorder)); diff != "" {
		t.Errorf("pings, and nanoseconds (-in the traces +counted):\n%s", diff)
	}
	if want["pings"] != count || want["hypervisors"] == 0 {
		t.Errorf("%v: not %d pings through a hypervisor", want, count)
	}
}

// sums adds up what is counted, in nanoseconds.
func sums(t *testing.T, c prometheus.Collector) map[string]int64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := map[string]int64{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			ns := int64(math.Round(m.GetHistogram().GetSampleSum() * 1e9))
			parent := labels["dwell_parent_kind"]
			switch {
			case f.GetName() == "dwell_pings_total":
				sum["pings"] += int64(m.Counter.GetValue())
			case f.GetName() == "dwell_ping_duration_seconds":
				sum["round trips"] += ns
			case f.GetName() != "dwell_device_duration_seconds":
			case parent == "":
				sum["hops"] += ns
			case parent == "hypervisor":
				sum["parts of hypervisors"] += ns
			}
			if labels["dwell_kind"] == "hypervisor" {
				sum["hypervisors"] += ns
			}
		}
	}
	return sum
}
