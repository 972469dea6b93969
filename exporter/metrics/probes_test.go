// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

func someProbe() ProbeSeries {
	return ProbeSeries{Probe: "gateway", NetNS: "web", Tenant: "red", Target: netip.MustParseAddr("192.0.2.1")}
}

// someProbes has one that is up, one that is down and one that has not ended.
func someProbes() ProbeStats {
	up, down, begun := someProbe(), someProbe(), someProbe()
	down.Target, begun.Target = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.2")
	return ProbeStats{
		States:     []ProbeState{{up, true, true}, {down, true, false}, {begun, false, false}},
		Unresolved: 4, Refused: map[string]int{ProbeRefusedLimit: 5, ProbeRefusedNotOwned: 6}, Skipped: 7,
	}
}

const probeLabels4 = "destination_address=192.0.2.1 dwell_netns_name=web dwell_probe_name=gateway dwell_tenant_id=red network_type=ipv4"

// A probe that was lost is 0, and one of which nothing is known yet is not shown.
func TestProbeSuccess(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewAgentCollector(Options{}, func() AgentStats { return AgentStats{Probes: someProbes()} }))
	want := map[string]float64{
		probeLabels4: 1,
		"destination_address=2001:db8::1 dwell_netns_name=web dwell_probe_name=gateway dwell_tenant_id=red network_type=ipv6": 0,
	}
	if diff := cmp.Diff(want, values(t, registry, "dwell_probe_success")); diff != "" {
		t.Errorf("dwell_probe_success (-want +got):\n%s", diff)
	}
}

// Only what was answered has a round-trip time; every result is counted, and each is there from
// the first probe on.
func TestProbeResults(t *testing.T) {
	r, g := newRecorder(t, Options{})
	r.Probe(someProbe(), ProbeSuccess, 300*time.Microsecond, ProbeTrace{})
	label := func(result string) string {
		return "destination_address=192.0.2.1 dwell_netns_name=web dwell_probe_name=gateway dwell_probe_result=" + result + " dwell_tenant_id=red network_type=ipv4"
	}
	want := map[string]float64{}
	for _, result := range ProbeResults() {
		want[label(result)] = 0
	}
	want[label(ProbeSuccess)] = 1
	if diff := cmp.Diff(want, values(t, g, "dwell_probe_results_total")); diff != "" {
		t.Errorf("after a success (-want +got):\n%s", diff)
	}
	for _, result := range append([]string{ProbeTimeout}, ProbeResults()[1:]...) {
		r.Probe(someProbe(), result, 0, ProbeTrace{})
		want[label(result)]++
	}
	if diff := cmp.Diff(want, values(t, g, "dwell_probe_results_total")); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	m := gather(t, g, "dwell_probe_duration_seconds")[probeLabels4]
	if m.GetHistogram().GetSampleCount() != 1 || nanoseconds(m) != 300_000 {
		t.Errorf("round trips are %v", m)
	}
}

// The exemplar of a bucket, and of a result, is the trace of the probe.
func TestProbeExemplars(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{now: c.read})
	of := ProbeTrace{Trace: trace.ID{15: 7}, Root: trace.SpanID{7: 9}}
	want := of.Trace.String() + "/" + of.Root.String()
	r.Probe(someProbe(), ProbeSuccess, time.Millisecond, of)
	r.Probe(someProbe(), ProbeTimeout, 0, of)
	if got := exemplars(gather(t, g, "dwell_probe_duration_seconds")[probeLabels4].Histogram.Bucket); !cmp.Equal(got, []string{want}) {
		t.Errorf("exemplars %v, want %s", got, want)
	}
	for labels, m := range gather(t, g, "dwell_probe_results_total") {
		if e := m.Counter.Exemplar; (e != nil) != (m.Counter.GetValue() > 0) || e != nil && exemplarID(e) != want {
			t.Errorf("%s: exemplar %v", labels, e)
		}
	}
	c.now = c.now.Add(time.Minute)
	r.Probe(someProbe(), ProbeSuccess, time.Millisecond, ProbeTrace{}) // was not exported
	if got := exemplars(gather(t, g, "dwell_probe_duration_seconds")[probeLabels4].Histogram.Bucket); !cmp.Equal(got, []string{want}) {
		t.Errorf("a probe without a trace has changed the exemplars: %v", got)
	}
}

// What is not probed any more is removed after a while.
func TestProbeSeriesExpire(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{Expire: time.Hour, now: c.read})
	r.Probe(someProbe(), ProbeSuccess, time.Millisecond, ProbeTrace{})
	c.now = c.now.Add(2 * time.Hour)
	for _, family := range []string{"dwell_probe_duration_seconds", "dwell_probe_results_total"} {
		if left := values(t, g, family); len(left) > 0 {
			t.Errorf("%s: left are %v", family, left)
		}
	}
}
