// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

const deviceFamily = "dwell_device_duration_seconds"

// through is a ping that is seen on one device.
func through(name string) *trace.Trace {
	d := &trace.Device{NetNS: guest, Name: name}
	return grow(trace.Complete, parent(trace.KindRequest, d, leaf(trace.KindTransmit, d, 700)))
}

func labelsOf(name string) string {
	return "dwell_direction=request dwell_kind=transmit dwell_netns_name=guest network_interface_name=" + name
}

func TestSeriesBeyondTheLimitAreFolded(t *testing.T) {
	r, g := newRecorder(t, Options{MaxSeries: 3})
	for range 2 {
		for i := range 5 {
			r.Record(through(fmt.Sprint("veth", i)), false)
		}
	}
	want := map[string]float64{labelsOf("veth0"): 2, labelsOf("veth1"): 2, "otel_metric_overflow=true": 6}
	if diff := cmp.Diff(want, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	const account = "dwell_metric_name=dwell.device.duration"
	if got := values(t, g, "dwell_agent_metrics_overflowed_total")[account]; got != 6 {
		t.Errorf("%v measurements are told as overflow, want 6", got)
	}
	if got := values(t, g, "dwell_agent_metrics_series")[account]; got != 3 {
		t.Errorf("%v series are told, want 3", got)
	}
}

// Devices of containers come and go under new names.
func TestChurnOfDevices(t *testing.T) {
	const churn = 10_000
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: 50, Expire: time.Hour, now: c.read})
	for i := range churn {
		c.now = c.now.Add(time.Second)
		r.Record(through(fmt.Sprint("veth", i)), true)
		if len(r.device.known) > 4*50 || len(r.device.series) > 50 {
			t.Fatalf("after %d devices %d keys and %d series are held", i, len(r.device.known), len(r.device.series))
		}
	}
	var sum float64
	for _, n := range values(t, g, deviceFamily) {
		sum += n
	}
	const account = "dwell_metric_name=dwell.device.duration"
	evicted := values(t, g, "dwell_agent_metrics_evicted_total")[account]
	// 49 of each minute's 60 find a place.
	if want := float64(churn)*49/60 - 100; evicted < want {
		t.Errorf("%v series were evicted in %d s, want %v or more", evicted, churn, want)
	}
	expired := values(t, g, "dwell_agent_metrics_expired_total")[account]
	if sum+expired+evicted != churn { // each series had one measurement
		t.Errorf("%v measurements shown, %v expired and %v evicted, want %d in all", sum, expired, evicted, churn)
	}
}

func TestIdleSeriesExpire(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{Expire: time.Hour, now: c.read})
	old, used := through("old"), through("used")
	r.Record(old, false)
	for range 30 {
		c.now = c.now.Add(5 * time.Minute)
		r.Record(used, false)
	}
	if diff := cmp.Diff(map[string]float64{labelsOf("used"): 30}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("after 2.5 h (-want +got):\n%s", diff)
	}
	r.Record(old, false)
	if diff := cmp.Diff(map[string]float64{labelsOf("used"): 30, labelsOf("old"): 1}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("a series that comes back begins anew (-want +got):\n%s", diff)
	}
	c.now = c.now.Add(2 * time.Hour)
	if diff := cmp.Diff(map[string]float64{}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("a scrape of what stands still (-want +got):\n%s", diff)
	}
	if got := len(values(t, g, "dwell_pings_total")); got != len(pingLabels()) {
		t.Errorf("%d series of dwell_pings_total, want %d: they never expire", got, len(pingLabels()))
	}
}

// A device that was removed and made anew has the series that it had before.
func TestSameNameIsSameSeries(t *testing.T) {
	r, g := newRecorder(t, Options{})
	for range 3 {
		r.Record(through("eth0"), false)
	}
	if diff := cmp.Diff(map[string]float64{labelsOf("eth0"): 3}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestNameThatIsNotUTF8(t *testing.T) {
	r, g := newRecorder(t, Options{})
	r.Record(through("eth\xff"), false)
	if diff := cmp.Diff(map[string]float64{labelsOf("eth\ufffd"): 1}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestHostWhoseNameIsNotUTF8(t *testing.T) {
	o := Options{HostName: "node-\xff", HostID: "\xff", Version: "\xff"}
	r, g := newRecorder(t, o)
	g.(*prometheus.Registry).MustRegister(NewAgentCollector(o, zero))
	r.Record(through("eth0"), true)
	for _, family := range []string{deviceFamily, "dwell_pings_total", "dwell_build_info"} {
		all := gather(t, g, family)
		if len(all) == 0 {
			t.Errorf("no %s", family)
		}
		for labels, m := range all {
			if got := label(m, "host_name"); got != "node-\ufffd" {
				t.Errorf("%s{%s} has host_name %q", family, labels, got)
			}
		}
	}
}

func TestExemplarsLeadToKeptTraces(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{ExemplarInterval: time.Second, now: c.read})
	record := func(id byte, ns int64, kept bool) {
		tr := grow(trace.Complete, parent(trace.KindRequest, guestEnd, leaf(trace.KindTransmit, guestEnd, ns)))
		tr.ID = trace.ID{id}
		r.Record(tr, kept)
	}
	shown := func() (ids []string) {
		for _, m := range gather(t, g, deviceFamily) {
			for _, id := range exemplars(m.Histogram.Bucket) {
				ids = append(ids, id[:2])
			}
		}
		return ids
	}
	record(1, 700, false)
	if got := shown(); got != nil {
		t.Errorf("exemplars %v of traces that are not kept", got)
	}
	record(2, 700, true)  // the first of its bucket
	record(3, 700, true)  // too soon
	record(4, 7000, true) // another bucket
	if diff := cmp.Diff([]string{"02", "04"}, shown()); diff != "" {
		t.Errorf("exemplars (-want +got):\n%s", diff)
	}
	c.now = c.now.Add(time.Second)
	record(5, 700, false)
	record(6, 700, true)
	if diff := cmp.Diff([]string{"06", "04"}, shown()); diff != "" {
		t.Errorf("exemplars after a second (-want +got):\n%s", diff)
	}
	record(7, int64(2*time.Second), true)
	if diff := cmp.Diff([]string{"06", "04", "07"}, shown()); diff != "" {
		t.Errorf("exemplars with that above all bounds (-want +got):\n%s", diff)
	}
}
