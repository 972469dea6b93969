// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Resolution of the native buckets. Each is at most 10 % wider than the one before,
// and 160 of them, as many as OpenTelemetry's default, span twenty octaves, from a
// microsecond to a second. A series that spans more gets buckets twice as wide. It is
// not reset instead, so that its counters never go back.
const (
	NativeBucketFactor = 1.1
	NativeMaxBuckets   = 160
)

// histogramVec and counterVec are vectors whose labels are known to be right.
type (
	histogramVec struct{ *prometheus.HistogramVec }
	counterVec   struct{ *prometheus.CounterVec }
)

func (v histogramVec) with(values ...string) prometheus.Histogram {
	return v.WithLabelValues(values...).(prometheus.Histogram)
}
func (v histogramVec) remove(values ...string) { v.DeleteLabelValues(values...) }

func (v counterVec) with(values ...string) prometheus.Counter { return v.WithLabelValues(values...) }
func (v counterVec) remove(values ...string)                  { v.DeleteLabelValues(values...) }

func newHistograms(o Options, d Definition) *family[prometheus.Histogram] {
	opts := prometheus.HistogramOpts{
		Name: d.Prometheus(), Help: d.Meaning, ConstLabels: o.hostLabel(),
		Buckets:                        o.Buckets,
		NativeHistogramBucketFactor:    NativeBucketFactor,
		NativeHistogramMaxBucketNumber: NativeMaxBuckets,
	}
	v := histogramVec{prometheus.NewHistogramVec(opts, d.Labels())}
	opts.ConstLabels = o.overflowLabels()
	return newFamily[prometheus.Histogram](o, d, v, prometheus.NewHistogram(opts), len(o.Buckets)+1)
}

func newCounters(o Options, d Definition) *family[prometheus.Counter] {
	opts := prometheus.CounterOpts{Name: d.Prometheus(), Help: d.Meaning, ConstLabels: o.hostLabel()}
	v := counterVec{prometheus.NewCounterVec(opts, d.Labels())}
	opts.ConstLabels = o.overflowLabels()
	return newFamily[prometheus.Counter](o, d, v, prometheus.NewCounter(opts), 1)
}

func (o Options) overflowLabels() prometheus.Labels {
	labels := maps.Clone(o.hostLabel())
	labels[Label(AttrOverflow)] = "true"
	return labels
}

// ownMetrics describe the families themselves.
type ownMetrics struct {
	overflowed, expired, evicted, series *prometheus.Desc

	started time.Time
}

func newOwnMetrics(o Options) ownMetrics {
	return ownMetrics{
		overflowed: o.desc(defOverflowed), expired: o.desc(defExpired), evicted: o.desc(defEvicted), series: o.desc(defSeries),
		started: o.now(),
	}
}

func (m ownMetrics) describe(ch chan<- *prometheus.Desc) {
	ch <- m.overflowed
	ch <- m.expired
	ch <- m.evicted
	ch <- m.series
}

func (m ownMetrics) collect(ch chan<- prometheus.Metric, accounts []account) {
	for _, a := range accounts {
		ch <- counted(m.overflowed, float64(a.Overflowed), m.started, a.Metric)
		ch <- counted(m.expired, float64(a.Expired), m.started, a.Metric)
		ch <- counted(m.evicted, float64(a.Evicted), m.started, a.Metric)
		ch <- prometheus.MustNewConstMetric(m.series, prometheus.GaugeValue, float64(a.Series), a.Metric)
	}
}

// counted makes a counter that says since when it counts, as those of client_golang do.
func counted(d *prometheus.Desc, value float64, since time.Time, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetricWithCreatedTimestamp(d, prometheus.CounterValue, value, since, labels...)
}
