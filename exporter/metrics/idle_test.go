// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// modelSeries and modelFamily are a family as its documentation says it, in a slice that is in
// the order in which the series were made.
type modelSeries struct {
	name, tenant string
	used, count  int64
}

type modelFamily struct {
	max                          int
	series                       []modelSeries
	overflowed, expired, evicted uint64
	gone                         int64
}

func (m *modelFamily) count(name, tenant string, now int64) {
	i := slices.IndexFunc(m.series, func(s modelSeries) bool { return s.name == name && s.tenant == tenant })
	if i < 0 {
		if !m.place(tenant, now) {
			m.overflowed++
			return
		}
		m.series, i = append(m.series, modelSeries{name: name, tenant: tenant}), len(m.series)
	}
	m.series[i].used = now
	m.series[i].count++
}

// place makes room for a series of a tenant.
func (m *modelFamily) place(tenant string, now int64) bool {
	own := map[string]int{tenant: 0}
	for _, s := range m.series {
		own[s.tenant]++
	}
	left := m.max - 1 - len(m.series)
	if left > 0 && (tenant == "" || own[tenant] < left) {
		return true
	}
	// Who has a part of what is left, or an equal share of all, may only displace its own.
	onlyOwn := left > 0 || own[tenant]*len(own) >= m.max-1
	victim := -1
	for i, s := range m.series {
		if (!onlyOwn || s.tenant == tenant) && (victim < 0 || s.used < m.series[victim].used) {
			victim = i
		}
	}
	if victim < 0 || now-m.series[victim].used < int64(time.Minute) {
		return false
	}
	m.remove(victim)
	m.evicted++
	return true
}

func (m *modelFamily) remove(i int) {
	m.gone += m.series[i].count
	m.series = slices.Delete(m.series, i, i+1)
}

func (m *modelFamily) expire(before int64) {
	for i := len(m.series) - 1; i >= 0; i-- {
		if m.series[i].used < before {
			m.remove(i)
			m.expired++
		}
	}
}

func (m *modelFamily) shown() map[string]int64 {
	out := map[string]int64{}
	for _, s := range m.series {
		out[s.name+" of "+s.tenant] = s.count
	}
	return out
}

// A family keeps and displaces the very series that the model does, and loses no measurement.
func TestLongestIdleSeriesGoesFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(2, 12).Draw(t, "max series")
		f := newCounters(Options{MaxSeries: limit}.withDefaults(), defProbe)
		f.createPermanent(labelValues{"always there"})
		m := modelFamily{max: limit}
		tenant := rapid.SampledFrom([]string{"", "red", "blue", "green"})
		var now, total int64
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += rapid.SampledFrom([]int64{0, 0, 1, 5e9, 30e9, 70e9}).Draw(t, "passes")
			if rapid.IntRange(0, 30).Draw(t, "sweep") == 0 {
				f.expire(now - int64(10*time.Minute))
				m.expire(now - int64(10*time.Minute))
			}
			name, of := fmt.Sprint("veth", rapid.IntRange(0, 9).Draw(t, "device")), tenant.Draw(t, "tenant")
			labels := labelValues{name}
			labels[len(f.definition.Attributes)-1] = of
			f.byLabels(labels, now).metric.Inc()
			m.count(name, of, now)
			total++
			compareFamily(t, f, &m, total)
		}
	})
}

func compareFamily(t *rapid.T, f *family[prometheus.Counter], m *modelFamily, total int64) {
	got, sum := map[string]int64{}, m.gone+int64(m.overflowed)
	for labels, s := range f.series {
		if s.number > 0 { // not the permanent one
			n := int64(counterValue(t, s.metric))
			got[labels[0]+" of "+f.tenant(&labels)] = n
			sum += n
		}
	}
	if diff := cmp.Diff(m.shown(), got); diff != "" {
		t.Fatalf("series (-want +got):\n%s", diff)
	}
	want := account{
		Metric: f.definition.Name, Series: len(m.series) + 1, Overflowed: m.overflowed, Expired: m.expired, Evicted: m.evicted,
	}
	if m.overflowed > 0 {
		want.Series++
	}
	if diff := cmp.Diff(want, f.account()); diff != "" {
		t.Fatalf("account (-want +got):\n%s", diff)
	}
	if sum != total {
		t.Fatalf("%d measurements are shown, in the overflow or removed, want %d", sum, total)
	}
}

// What was counted in the overflow gets a series as soon as others have been idle for long enough,
// and what is measured again after its series was displaced is not lost.
func TestDisplacedSeriesComeBack(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: 3, now: c.read})
	a, b, late := through("a"), through("b"), through("late")
	r.Record(a, false)
	c.now = c.now.Add(time.Second)
	r.Record(b, false)
	r.Record(late, false)
	if diff := cmp.Diff(map[string]float64{labelsOf("a"): 1, labelsOf("b"): 1, "otel_metric_overflow=true": 1}, values(t, g, deviceFamily)); diff != "" {
		t.Fatalf("while all are in use (-want +got):\n%s", diff)
	}
	c.now = c.now.Add(MinIdle - time.Second)
	r.Record(late, false)
	r.Record(late, false)
	if diff := cmp.Diff(map[string]float64{labelsOf("late"): 2, labelsOf("b"): 1, "otel_metric_overflow=true": 1}, values(t, g, deviceFamily)); diff != "" {
		t.Fatalf("after a minute without a (-want +got):\n%s", diff)
	}
	c.now = c.now.Add(2 * time.Second)
	r.Record(a, false)
	if diff := cmp.Diff(map[string]float64{labelsOf("late"): 2, labelsOf("a"): 1, "otel_metric_overflow=true": 1}, values(t, g, deviceFamily)); diff != "" {
		t.Fatalf("when a is back (-want +got):\n%s", diff)
	}
	const account = "dwell_metric_name=dwell.device.duration"
	if got := values(t, g, "dwell_agent_metrics_evicted_total")[account]; got != 2 {
		t.Errorf("%v series are told as evicted, want 2", got)
	}
}

// Who holds on to a series that was displaced, because its key was learnt, does not measure with it.
func TestDisplacedSeriesIsNotUsed(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: 2, now: c.read})
	a, b := through("a"), through("b")
	r.Record(a, false)
	c.now = c.now.Add(MinIdle)
	r.Record(b, false)
	r.Record(a, false)
	if diff := cmp.Diff(map[string]float64{labelsOf("b"): 1, "otel_metric_overflow=true": 1}, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// Of many keys in the overflow, all find the places that become free, and not only one of them.
func TestAllInTheOverflowAreTriedAgain(t *testing.T) {
	const limit = 20
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: limit + 1, now: c.read})
	var late []*trace.Trace
	for i := range limit {
		late = append(late, through(fmt.Sprint("late", i)))
		r.Record(through(fmt.Sprint("early", i)), false)
	}
	record := func() {
		for _, tr := range late {
			r.Record(tr, false)
		}
	}
	record()
	c.now = c.now.Add(MinIdle / 2)
	record() // there is still no room
	c.now = c.now.Add(MinIdle / 2)
	record()
	want := map[string]float64{"otel_metric_overflow=true": 2 * limit}
	for i := range limit {
		want[labelsOf(fmt.Sprint("late", i))] = 1
	}
	if diff := cmp.Diff(want, values(t, g, deviceFamily)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// One that finds no room when it is tried again does not keep others from being tried.
func TestOverflowOfOneTenantDoesNotStopAnothers(t *testing.T) {
	c := newClock()
	r, g := newRecorder(t, Options{MaxSeries: 5, now: c.read})
	red := []*trace.Trace{owned("red", "red0"), owned("red", "red1"), owned("red", "red2")}
	blue := []*trace.Trace{owned("blue", "blue0"), owned("blue", "blue1")}
	record := func() {
		for _, tr := range slices.Concat(red, blue) {
			r.Record(tr, false)
		}
	}
	record()
	r.Record(through("idle"), false)
	c.now = c.now.Add(MinIdle / 2)
	record()
	c.now = c.now.Add(MinIdle / 2)
	record() // there is no room for red2, which comes first
	for name, m := range gather(t, g, deviceFamily) {
		if label(m, "network_interface_name") == "blue1" {
			return
		}
		t.Log(name)
	}
	t.Error("blue1 has no series, where the one that was idle was")
}
