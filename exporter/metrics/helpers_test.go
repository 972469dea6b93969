// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"pgregory.net/rapid"
)

func newRecorder(t testing.TB, o Options) (*Recorder, prometheus.Gatherer) {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	return r, registry
}

// gather returns the metrics of a family by their labels that are not empty, host_name
// left out: "dwell_kind=link dwell_direction=request".
func gather(t testing.TB, g prometheus.Gatherer, family string) map[string]*dto.Metric {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	metrics := map[string]*dto.Metric{}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				if l.GetValue() != "" && l.GetName() != "host_name" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			metrics[strings.Join(labels, " ")] = m
		}
	}
	return metrics
}

func values(t testing.TB, g prometheus.Gatherer, family string) map[string]float64 {
	t.Helper()
	v := map[string]float64{}
	for labels, m := range gather(t, g, family) {
		switch {
		case m.Counter != nil:
			v[labels] = m.Counter.GetValue()
		case m.Gauge != nil:
			v[labels] = m.Gauge.GetValue()
		case m.Histogram != nil:
			v[labels] = float64(m.Histogram.GetSampleCount())
		}
	}
	return v
}

func counterValue(t rapid.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Counter.GetValue()
}

// notZero leaves out what has not happened.
func notZero(v map[string]float64) map[string]float64 {
	maps.DeleteFunc(v, func(_ string, x float64) bool { return x == 0 })
	return v
}

func label(m *dto.Metric, name string) string {
	i := slices.IndexFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == name })
	if i < 0 {
		return ""
	}
	return m.Label[i].GetValue()
}

// nanoseconds returns the sum of a histogram's measurements.
func nanoseconds(m *dto.Metric) int64 { return int64(math.Round(m.Histogram.GetSampleSum() * 1e9)) }

// exemplars returns trace ID and span ID of each exemplar, in the order of the buckets.
func exemplars(buckets []*dto.Bucket) (ids []string) {
	for _, b := range buckets {
		if b.Exemplar != nil {
			ids = append(ids, exemplarID(b.Exemplar))
		}
	}
	return ids
}

func exemplarID(e *dto.Exemplar) string {
	labels := map[string]string{}
	for _, l := range e.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels["trace_id"] + "/" + labels["span_id"]
}

// clock is one that tests set.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Unix(1_767_225_600, 0)} }

func (c *clock) read() time.Time { return c.now }
