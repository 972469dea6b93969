// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestPings(t *testing.T) {
	r, g := newRecorder(t, Options{HostName: "node-1"})
	for _, tr := range tracetest.All() {
		r.Record(tr, true)
	}
	r.Record(&trace.Trace{}, true) // has nothing to tell
	want := map[string]float64{
		"dwell_outcome=complete":                                  4,
		"dwell_outcome=dropped":                                   1,
		"dwell_outcome=expired":                                   1,
		"dwell_outcome=unreachable":                               1,
		"dwell_outcome=partial":                                   1,
		"dwell_incomplete=no_reply dwell_outcome=incomplete":      1,
		"dwell_incomplete=agent_stopped dwell_outcome=incomplete": 1,
		"dwell_incomplete=events_lost dwell_outcome=incomplete":   0,
		"dwell_incomplete=evicted dwell_outcome=incomplete":       0,
		"dwell_incomplete=agent_started dwell_outcome=incomplete": 0,
		"dwell_incomplete=no_request dwell_outcome=incomplete":    0,
		"dwell_incomplete=not_delivered dwell_outcome=incomplete": 0,
		"dwell_incomplete=unseen dwell_outcome=incomplete":        0,
	}
	if diff := cmp.Diff(want, values(t, g, "dwell_pings_total")); diff != "" {
		t.Errorf("dwell_pings_total (-want +got):\n%s", diff)
	}
	for labels, m := range gather(t, g, "dwell_pings_total") {
		if label(m, "host_name") != "node-1" {
			t.Errorf("%s has host_name %q", labels, label(m, "host_name"))
		}
	}
}

func TestRoundTripOfPingsSentHere(t *testing.T) {
	const family = "dwell_ping_duration_seconds"
	r, g := newRecorder(t, Options{})
	sent := thirty()
	for range 2 {
		r.Record(sent, true)
	}
	passing := grow(trace.Complete,
		parent(trace.KindRequest, uplink, throughHypervisor(uplink, bridge)),
		leaf(trace.KindBeyond, bridge, 1000),
		parent(trace.KindReply, bridge, throughHypervisor(bridge, uplink)))
	passing.Sent = false
	for _, tr := range []*trace.Trace{passing, tracetest.Dropped(1), tracetest.NoReply(2)} {
		r.Record(tr, true)
	}
	got := gather(t, g, family)
	want := map[string]float64{"dwell_netns_name=guest network_type=ipv4": 2}
	if diff := cmp.Diff(want, values(t, g, family)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", family, diff)
	}
	for _, m := range got {
		if ns := nanoseconds(m); ns != 2*sent.Root().Duration() {
			t.Errorf("the sum is %d ns, want twice %d ns", ns, sent.Root().Duration())
		}
	}
}

func TestDropsSayWhereAndWhy(t *testing.T) {
	const family = "dwell_drops_total"
	r, g := newRecorder(t, Options{})
	dropped := tracetest.Dropped(3)
	for range 2 {
		r.Record(dropped, true)
	}
	const labels = "dwell_direction=request dwell_drop_reason=NETFILTER_DROP dwell_netns_name=dwell-bridge-hypervisor network_interface_name=ovs-br"
	if diff := cmp.Diff(map[string]float64{labels: 2}, values(t, g, family)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", family, diff)
	}
	died := dropped.Spans[len(dropped.Spans)-1]
	want := dropped.ID.String() + "/" + died.ID.String()
	if got := exemplarID(gather(t, g, family)[labels].Counter.Exemplar); got != want {
		t.Errorf("exemplar %s, want %s", got, want)
	}
}

// The death of a packet that a host has answered with an ICMP error is not a drop: traceroute
// asks for it.
func TestWhatIsAnsweredWithAnErrorIsNotADrop(t *testing.T) {
	r, g := newRecorder(t, Options{})
	for _, tr := range []*trace.Trace{tracetest.Expired(1), tracetest.Unreachable(2)} {
		s := &tr.Spans[len(tr.Spans)-1]
		s.Events = append(s.Events, trace.Event{Name: trace.EventDrop, Attrs: []trace.Attr{trace.String(trace.AttrDropReason, "IP_INHDR")}})
		r.Record(tr, true)
	}
	if got := values(t, g, "dwell_drops_total"); len(got) > 0 {
		t.Errorf("drops %v", got)
	}
}

// The round trip ends with the first reply; what the sender did not send has none.
func TestRoundTripEndsWithTheFirstReply(t *testing.T) {
	const family = "dwell_ping_duration_seconds"
	r, g := newRecorder(t, Options{})
	twice := tracetest.Twice(1)
	for _, tr := range []*trace.Trace{twice, tracetest.Elsewhere(2), tracetest.Partial(3), tracetest.Expired(4)} {
		r.Record(tr, true)
	}
	rtt, _ := twice.RTT()
	for labels, m := range gather(t, g, family) {
		if m.Histogram.GetSampleCount() != 1 || nanoseconds(m) != rtt || rtt >= twice.Root().Duration() {
			t.Errorf("%s: %d round trips of %d ns, want one of %d ns", labels, m.Histogram.GetSampleCount(), nanoseconds(m), rtt)
		}
	}
}

// A registry is scraped while pings are counted.
func TestScrapeWhileRecording(t *testing.T) {
	r, g := newRecorder(t, Options{MaxSeries: 20})
	const each = 300
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range each {
				r.Record(thirty(), true)
			}
		})
		wg.Go(func() {
			for range 20 {
				if _, err := g.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	spans := float64(len(thirty().Spans) - 3) // root and journeys are not counted
	var sum float64
	for _, n := range values(t, g, "dwell_device_duration_seconds") {
		sum += n
	}
	if sum != 2*each*spans {
		t.Errorf("%v measurements, want %v", sum, 2*each*spans)
	}
}

func TestNotRegisteredTwice(t *testing.T) {
	r, _ := newRecorder(t, Options{})
	again, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	if err := registry.Register(again); err == nil {
		t.Error("a second Recorder of the same host was registered: its series would be there twice")
	}
}

func rising(n int) (bounds []float64) {
	for i := range n {
		bounds = append(bounds, float64(i+1))
	}
	return bounds
}

func TestValidate(t *testing.T) {
	for name, o := range map[string]Options{
		"one series":        {MaxSeries: 1},
		"negative":          {MaxSeries: -1},
		"negative expiry":   {Expire: -1},
		"too short expiry":  {Expire: MinExpire - 1},
		"negative interval": {ExemplarInterval: -1},
		"bucket of zero":    {Buckets: []float64{0, 1}},
		"not ascending":     {Buckets: []float64{1e-3, 1e-3}},
		"too many buckets":  {Buckets: rising(MaxBuckets + 1)},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, o := range map[string]Options{"defaults": {}, "own": {MaxSeries: 2, Expire: MinExpire, Buckets: rising(MaxBuckets)}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOwnMetrics(t *testing.T) {
	r, g := newRecorder(t, Options{})
	r.Record(tracetest.Complete(1), false)
	want := map[string]float64{
		"dwell_metric_name=dwell.pings":         float64(len(pingLabels())),
		"dwell_metric_name=dwell.ping.duration": 1,
	}
	got := values(t, g, "dwell_agent_metrics_series")
	maps.DeleteFunc(got, func(labels string, _ float64) bool { return want[labels] == 0 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dwell_agent_metrics_series (-want +got):\n%s", diff)
	}
}
