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
	// removed is set when it is shown no more, and nothing must be measured with it.
	removed bool
	// used is when something was measured last, as Recorder.age has it.
	used int64
	// number is how many were made before it, and places where it is in the orders of family.
	number uint64
	places [orders]place
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
	// idle has those that are not permanent, and owners each tenant's and nobody's.
	idle   idleOrder[M]
	owners map[string]*idleOrder[M]
	made   uint64
	// overflow takes in what would be more than max, and after retry may find room.
	overflow series[M]
	retry    int64
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
	Metric string
	Series int
	// Overflowed counts measurements, Expired and Evicted series.
	Overflowed, Expired, Evicted uint64
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
		idle:       idleOrder[M]{which: amongAll},
		owners:     make(map[string]*idleOrder[M]),
		overflow:   series[M]{metric: overflow, exemplars: make([]int64, buckets)},
		counts:     account{Metric: d.Name},
	}
}

// get returns the series of a key, whose labels it asks for only if it does not know
// the key. at is the place of the span in the trace.
func (f *family[M]) get(at int, key seriesKey, now int64, labels func() labelValues) *series[M] {
	slot := &f.recent[at%recentSlots]
	if slot.series == nil || slot.key != key || f.outdated(slot.series, now) {
		s, ok := f.known[key]
		if !ok || f.outdated(s, now) {
			s = f.find(labels(), now)
			f.learn(key, s, now)
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

// outdated reports whether a series that was learnt must be looked for again.
func (f *family[M]) outdated(s *series[M], now int64) bool {
	return s.removed || s == &f.overflow && now >= f.retry
}

// learn remembers the series of a key. Devices come and go under the same name, so
// that there may be far more keys than series; then all are forgotten, and those in
// use are learnt again. So they are if it has been tried again whether there is room.
func (f *family[M]) learn(key seriesKey, s *series[M], now int64) {
	retried := s == &f.overflow && now >= f.retry
	if retried {
		f.retry = now + int64(overflowRetry)
	}
	if retried || len(f.known) >= 4*f.max {
		f.forget()
	}
	f.known[key] = s
}

// forget forgets the series of all keys, and with them what is held of devices that are gone.
func (f *family[M]) forget() {
	clear(f.known)
	clear(f.recent[:])
}

// find returns the series with these labels, or that of the overflow.
func (f *family[M]) find(labels labelValues, now int64) *series[M] {
	for i, v := range labels {
		labels[i] = utf8(v)
	}
	if s, ok := f.series[labels]; ok {
		return s
	}
	tenant := f.tenant(&labels)
	if !f.room(tenant) && !f.displace(tenant, now) {
		return &f.overflow
	}
	s := f.create(labels, now)
	f.idle.add(s)
	if f.owners[tenant] == nil {
		f.owners[tenant] = &idleOrder[M]{which: amongOwn}
	}
	f.owners[tenant].add(s)
	return s
}

// tenant returns the last label.
func (f *family[M]) tenant(labels *labelValues) string {
	return labels[len(f.definition.Attributes)-1]
}

func (f *family[M]) create(labels labelValues, now int64) *series[M] {
	s := &series[M]{
		metric: f.vec.with(f.values(&labels)...),
		labels: labels, used: now, number: f.made, exemplars: make([]int64, f.buckets),
	}
	f.made++
	f.series[labels] = s
	return s
}

// createPermanent makes a series that is always there: it does not expire, is not displaced and
// does not count towards the maximum.
func (f *family[M]) createPermanent(labels labelValues) { f.create(labels, 0) }

// remove removes a series that is not permanent.
func (f *family[M]) remove(s *series[M]) {
	f.vec.remove(f.values(&s.labels)...)
	delete(f.series, s.labels)
	s.removed = true
	f.idle.remove(s)
	tenant := f.tenant(&s.labels)
	own := f.owners[tenant]
	if own.remove(s); own.Len() == 0 {
		delete(f.owners, tenant)
	}
}

// values returns the labels that the family has.
func (f *family[M]) values(labels *labelValues) []string {
	return labels[:len(f.definition.Attributes)]
}

// expire removes the series not used since then. What was folded into the overflow
// may get a series of its own afterwards.
func (f *family[M]) expire(before int64) {
	for s := f.idle.longest(); s != nil && s.used < before; s = f.idle.longest() {
		f.remove(s)
		f.counts.Expired++
	}
	f.forget()
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
