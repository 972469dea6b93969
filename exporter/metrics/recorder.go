// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Recorder counts pings. Its methods may be called concurrently.
type Recorder struct {
	options Options
	own     ownMetrics
	// epoch is where the time of measurements begins: so long before the start that the
	// first exemplar is due.
	epoch time.Time

	mu      sync.Mutex
	device  *family[prometheus.Histogram]
	ping    *family[prometheus.Histogram]
	drops   *family[prometheus.Counter]
	pings   *family[prometheus.Counter]
	sweepAt time.Time

	probe        *family[prometheus.Histogram]
	probeResults *family[prometheus.Counter]
}

var _ prometheus.Collector = (*Recorder)(nil)

// New makes a Recorder. The error is that of [Options.Validate].
func New(o Options) (*Recorder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	r := &Recorder{
		options: o,
		own:     newOwnMetrics(o),
		device:  newHistograms(o, defDevice),
		ping:    newHistograms(o, defPing),
		drops:   newCounters(o, defDrops),
		pings:   newCounters(o, defPings),

		probe:        newHistograms(o, defProbe),
		probeResults: newCounters(o, defProbeResults),
	}
	now := o.now()
	r.epoch, r.sweepAt = now.Add(-o.ExemplarInterval), now.Add(o.Expire)
	for _, labels := range pingLabels() {
		r.pings.createPermanent(labels)
	}
	return r, nil
}

// pingLabels returns all outcomes and causes there are: these series are there from
// the beginning, so that the first ping of each is an increase; those of tenants are not.
func pingLabels() []labelValues {
	var list []labelValues
	for _, outcome := range trace.Outcomes() {
		if outcome != trace.Incomplete {
			list = append(list, labelValues{outcome.String()})
			continue
		}
		for _, cause := range trace.Causes() {
			list = append(list, labelValues{outcome.String(), string(cause)})
		}
	}
	return list
}

// Record counts one ping and the spans of its trace. It must be called for every trace,
// whatever becomes of it: with kept set if the trace is going to be exported, so that
// exemplars lead only to traces that exist in the backend. Only the trace's devices and
// namespaces are retained, and those no longer than Options.Expire.
func (r *Recorder) Record(t *trace.Trace, kept bool) {
	if len(t.Spans) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.now()
	r.sweep(now)
	m := measurement{recorder: r, trace: t, tenant: t.Tenant(), kept: kept, now: r.age(now)}
	m.ping()
	m.spans()
}

// age returns nanoseconds since the epoch, whatever is done to the wall clock meanwhile.
func (r *Recorder) age(now time.Time) int64 { return int64(now.Sub(r.epoch)) }

// sweep removes what has not been measured for long. r.mu is held.
func (r *Recorder) sweep(now time.Time) {
	if now.Before(r.sweepAt) {
		return
	}
	r.sweepAt = now.Add(r.options.Expire / 8)
	before := r.age(now.Add(-r.options.Expire))
	for _, f := range r.families() {
		f.expire(before)
	}
}

// Describe implements [prometheus.Collector]. Overflow series have another label and
// are not described, as a registry that is not pedantic allows.
func (r *Recorder) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range r.families() {
		f.describe(ch)
	}
	r.own.describe(ch)
}

// Collect implements [prometheus.Collector]. Record does not wait for the reader of ch.
func (r *Recorder) Collect(ch chan<- prometheus.Metric) {
	shown, accounts := r.snapshot()
	for _, m := range shown {
		ch <- m
	}
	r.own.collect(ch, accounts)
}

// snapshot lists the series, which go on counting, and what became of others.
func (r *Recorder) snapshot() (shown []prometheus.Metric, accounts []account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(r.options.now())
	for _, f := range r.families() {
		shown = f.shown(shown)
		accounts = append(accounts, f.account())
	}
	return shown, accounts
}

// families lists all, whatever their metrics are.
func (r *Recorder) families() []anyFamily {
	return []anyFamily{r.device, r.ping, r.drops, r.pings, r.probe, r.probeResults}
}
