// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxLabels is the largest number of labels that a family has.
const maxLabels = 7

// recentSlots is how many spans of a trace are looked for in the cache in front.
const recentSlots = 64

// labelValues are in the order of Definition.Attributes; those not used are empty.
type labelValues [maxLabels]string

// seriesKey finds the series of a measurement without looking at a string. what is
// the rest of it, as the caller packs it.
type seriesKey struct {
	what   uint64
	device *trace.Device
	netns  *trace.NetNS
}

// series is one combination of labels.
type series[M any] struct {
	metric M
	labels labelValues
	// permanent series do not expire and do not count towards the maximum.
	permanent bool
	// used is when something was measured last, as Recorder.age has it.
	used int64
	// exemplars holds when the exemplar of each bucket was set, on the same clock.
	exemplars []int64
}

// family is a metric with a bounded number of series. Its owner does the locking.
type family[M any] struct {
	definition Definition
	max        int
	vec        vec[M]
	buckets    int

	// recent is a cache in front of known, by the place of a span in its trace: the next
	// ping has mostly taken the same way.
	recent [recentSlots]struct {
		key    seriesKey
		series *series[M]
	}
	known  map[seriesKey]*series[M]
	series map[labelValues]*series[M]
	// permanent is how many of them are, and owned how many each tenant has.
	permanent int
	owned     map[string]int
	// overflow takes in what would be more than max.
	overflow series[M]
	counts   account
}

// vec is a HistogramVec or a CounterVec. It is not asked to collect: it would keep who
// makes or removes a series waiting until the last one is read.
type vec[M any] interface {
	Describe(chan<- *prometheus.Desc)
	with(values ...string) M
	remove(values ...string)
}

// account says what became of the series of a family.
type account struct {
	Metric              string
	Series              int
	Overflowed, Expired uint64
}

// anyFamily is a family of any metric.
type anyFamily interface {
	describe(chan<- *prometheus.Desc)
	expire(before int64)
	// shown appends the metrics that there are now.
	shown([]prometheus.Metric) []prometheus.Metric
	account() account
}

func newFamily[M any](o Options, d Definition, v vec[M], overflow M, buckets int) *family[M] {
	return &family[M]{
		definition: d,
		max:        o.MaxSeries,
		vec:        v,
		buckets:    buckets,
		known:      make(map[seriesKey]*series[M]),
		series:     make(map[labelValues]*series[M]),
		owned:      make(map[string]int),
		overflow:   series[M]{metric: overflow, exemplars: make([]int64, buckets)},
		counts:     account{Metric: d.Name},
	}
}

// get returns the series of a key, whose labels it asks for only if it does not know
// the key. at is the place of the span in the trace.
func (f *family[M]) get(at int, key seriesKey, now int64, labels func() labelValues) *series[M] {
	slot := &f.recent[at%recentSlots]
	if slot.series == nil || slot.key != key {
		s, ok := f.known[key]
		if !ok {
			s = f.find(labels(), now)
			f.learn(key, s)
		}
		slot.key, slot.series = key, s
	}
	return f.use(slot.series, now)
}

// byLabels is get for what is rare enough.
func (f *family[M]) byLabels(labels labelValues, now int64) *series[M] {
	return f.use(f.find(labels, now), now)
}

func (f *family[M]) use(s *series[M], now int64) *series[M] {
	if s == &f.overflow {
		f.counts.Overflowed++
	}
	s.used = now
	return s
}

// learn remembers the series of a key. Devices come and go under the same name, so
// that there may be far more keys than series; then all are forgotten, and those in
// use are learnt again.
func (f *family[M]) learn(key seriesKey, s *series[M]) {
	if len(f.known) >= 4*f.max {
		clear(f.known)
	}
	f.known[key] = s
}

// find returns the series with these labels, or that of the overflow.
func (f *family[M]) find(labels labelValues, now int64) *series[M] {
	for i, v := range labels {
		labels[i] = utf8(v)
	}
	if s, ok := f.series[labels]; ok {
		return s
	}
	if !f.room(f.tenant(&labels)) {
		return &f.overflow
	}
	return f.create(labels, now)
}

// room reports whether there may be one more series of a tenant, or of nobody. A tenant may
// not have more of them than are left for all others, so that one whose devices come and go
// in great numbers does not take every other tenant's place.
func (f *family[M]) room(tenant string) bool {
	left := f.max - 1 - (len(f.series) - f.permanent)
	return left > 0 && (tenant == "" || f.owned[tenant] < left)
}

// tenant returns the last label.
func (f *family[M]) tenant(labels *labelValues) string {
	return labels[len(f.definition.Attributes)-1]
}

func (f *family[M]) create(labels labelValues, now int64) *series[M] {
	s := &series[M]{
		metric: f.vec.with(f.values(&labels)...),
		labels: labels, used: now, exemplars: make([]int64, f.buckets),
	}
	f.series[labels] = s
	if tenant := f.tenant(&labels); tenant != "" {
		f.owned[tenant]++
	}
	return s
}

// createPermanent makes a series that is always there.
func (f *family[M]) createPermanent(labels labelValues) {
	f.create(labels, 0).permanent = true
	f.permanent++
}

func (f *family[M]) remove(s *series[M]) {
	f.vec.remove(f.values(&s.labels)...)
	delete(f.series, s.labels)
	f.counts.Expired++
	tenant := f.tenant(&s.labels)
	if f.owned[tenant]--; f.owned[tenant] <= 0 {
		delete(f.owned, tenant)
	}
}

// values returns the labels that the family has.
func (f *family[M]) values(labels *labelValues) []string {
	return labels[:len(f.definition.Attributes)]
}

// expire removes the series not used since then. What was folded into the overflow
// may get a series of its own afterwards.
func (f *family[M]) expire(before int64) {
	for _, s := range f.series {
		if s.used < before && !s.permanent {
			f.remove(s)
		}
	}
	clear(f.known) // and with it what is held of devices that are gone
	clear(f.recent[:])
}

func (f *family[M]) account() account {
	f.counts.Series = len(f.series)
	if f.counts.Overflowed > 0 {
		f.counts.Series++
	}
	return f.counts
}

func (f *family[M]) describe(ch chan<- *prometheus.Desc) { f.vec.Describe(ch) }

func (f *family[M]) shown(list []prometheus.Metric) []prometheus.Metric {
	list = slices.Grow(list, len(f.series)+1)
	for _, s := range f.series {
		list = append(list, any(s.metric).(prometheus.Metric))
	}
	if f.counts.Overflowed > 0 {
		list = append(list, any(f.overflow.metric).(prometheus.Metric))
	}
	return list
}
