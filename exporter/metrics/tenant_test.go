// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// sent says that a ping was sent from this host, of which the round-trip time is known.
func sent(t *trace.Trace) *trace.Trace {
	t.Sent = true
	return t
}

// byTenant adds up what a family has counted, by tenant.
func byTenant(t *testing.T, g prometheus.Gatherer, family string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, m := range gather(t, g, family) {
		n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		if n > 0 {
			sums[label(m, "dwell_tenant_id")] += n
		}
	}
	return sums
}

// A ping and its drops belong to the tenant whose ping it is, the time in a device to the
// tenant whose device it is.
func TestWhoseMeasurementsAre(t *testing.T) {
	r, g := newRecorder(t, Options{})
	ofDevices := map[string]float64{}
	for i, id := range []string{"red", "blue", "red", ""} {
		complete, dropped := sent(tracetest.Owned(tracetest.Complete(uint16(i)), id)), tracetest.Owned(tracetest.Dropped(uint16(i)), id)
		for _, tr := range []*trace.Trace{complete, dropped} {
			r.Record(tr, true)
			for j := 1; j < len(tr.Spans); j++ {
				if s := &tr.Spans[j]; !s.Kind.Journey() && s.Error == "" && !s.Unfinished {
					ofDevices[s.Tenant()]++
				}
			}
		}
	}
	each := map[string]float64{"red": 2, "blue": 1, "": 1}
	twice := map[string]float64{"red": 4, "blue": 2, "": 2}
	for family, want := range map[string]map[string]float64{
		"dwell_pings_total": twice, "dwell_ping_duration_seconds": each, "dwell_drops_total": each, deviceFamily: ofDevices,
	} {
		if diff := cmp.Diff(want, byTenant(t, g, family)); diff != "" {
			t.Errorf("%s by tenant (-want +got):\n%s", family, diff)
		}
	}
}

// What pings many guests from the hypervisor has one namespace, and a ping of each tenant.
func TestRoundTripsFromASharedNamespace(t *testing.T) {
	r, g := newRecorder(t, Options{})
	for i, id := range []string{"red", "", "blue", "red"} {
		tr := sent(tracetest.Owned(tracetest.Complete(uint16(i)), id))
		tr.Root().NetNS = tracetest.Hypervisor
		r.Record(tr, true)
	}
	want := map[string]float64{"red": 2, "blue": 1, "": 1}
	if diff := cmp.Diff(want, byTenant(t, g, "dwell_ping_duration_seconds")); diff != "" {
		t.Errorf("round trips by tenant (-want +got):\n%s", diff)
	}
}

// Prometheus takes an empty label for one that is not there.
func TestNobodyHasNoTenantLabel(t *testing.T) {
	r, g := newRecorder(t, Options{})
	for _, tr := range tracetest.All() {
		r.Record(sent(tr), true)
	}
	for _, d := range Definitions() {
		for labels := range gather(t, g, d.Prometheus()) {
			if strings.Contains(labels, "dwell_tenant_id") {
				t.Errorf("%s{%s}", d.Prometheus(), labels)
			}
		}
	}
}

func owned(tenant, device string) *trace.Trace {
	d := &trace.Device{NetNS: guest, Name: device, Tenant: tenant}
	return grow(trace.Complete, parent(trace.KindRequest, d, leaf(trace.KindTransmit, d, 700)))
}

// Red's containers come and go; blue's few devices and those of nobody have series of their
// own all the same, and red's do again when the old ones have expired.
func TestOneTenantDoesNotTakeAllSeries(t *testing.T) {
	const limit, churn, few = 100, 1000, 15
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: limit, Expire: time.Hour, now: c.read})
	flood := func() {
		for i := range churn {
			r.Record(owned("red", fmt.Sprint("veth", i)), false)
		}
	}
	flood()
	for i := range few {
		r.Record(owned("blue", fmt.Sprint("eth", i)), false)
		r.Record(owned("", fmt.Sprint("ens", i)), false)
	}
	got := byTenant(t, g, deviceFamily)
	if got["blue"] != few {
		t.Errorf("blue has %v series of its own, want %d", got["blue"], few)
	}
	// Overflow has no label but its own, and so counts as nobody's here.
	if red := got["red"]; red < limit/3 || red > limit/2 || red+got["blue"]+got[""] != churn+2*few {
		t.Errorf("series by tenant: %v; red's are to be between a third and half of %d", got, limit)
	}
	if n := values(t, g, deviceFamily)[labelsOf("ens14")]; n != 1 {
		t.Error("a device of nobody has no series of its own")
	}
	c.now = c.now.Add(2 * time.Hour)
	flood()
	if red := byTenant(t, g, deviceFamily)["red"]; red < limit/3 || red > limit/2 {
		t.Errorf("after all have expired red gets %v series", red)
	}
}

// The counters of pings are bounded, too: those without a tenant are always there, those
// with one come, go, and overflow.
func TestPingsOfManyTenants(t *testing.T) {
	const limit, tenants = 50, 200
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: limit, Expire: time.Hour, now: c.read})
	for i := range tenants {
		r.Record(owned(fmt.Sprint("t", i), "eth0"), false)
	}
	all := values(t, g, "dwell_pings_total")
	if len(all) != len(pingLabels())+limit {
		t.Errorf("%d series, want %d and those that are always there", len(all), limit)
	}
	var sum float64
	for _, n := range all {
		sum += n
	}
	if over := all["otel_metric_overflow=true"]; sum != tenants || over != tenants-limit+1 {
		t.Errorf("%v pings, of which %v in the overflow; want %d and %d", sum, over, tenants, tenants-limit+1)
	}
	c.now = c.now.Add(2 * time.Hour)
	left := values(t, g, "dwell_pings_total")
	if len(left) != len(pingLabels())+1 {
		t.Errorf("%d series are left, want those without a tenant and the overflow: %v", len(left), left)
	}
}
