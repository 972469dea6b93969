// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// measurement is one trace being counted.
type measurement struct {
	recorder *Recorder
	trace    *trace.Trace
	// tenant is whose ping it is.
	tenant string
	kept   bool
	now    int64
}

// ping counts the ping as a whole, and its round-trip time if that was seen.
func (m *measurement) ping() {
	t, root := m.trace, m.trace.Root()
	f := m.recorder.pings
	labels := labelValues{t.Outcome.String(), string(t.Cause), m.tenant}
	f.byLabels(labels, m.now).metric.Inc()
	rtt, replied := t.RTT()
	if t.Outcome != trace.Complete || !t.Sent || !replied {
		return
	}
	m.observe(m.roundTrips(root.NetNS, t.Ping.Src.Is4()), root, rtt)
}

// roundTrips returns the series of pings from a namespace. That alone does not say whose
// ping it is: the hypervisor pings guests of many tenants.
func (m *measurement) roundTrips(from *trace.NetNS, v4 bool) *series[prometheus.Histogram] {
	if m.tenant != "" {
		return m.recorder.ping.byLabels(labelValues{namespace(from), networkType(v4), m.tenant}, m.now)
	}
	key := seriesKey{netns: from}
	if v4 {
		key.what = 1
	}
	return m.recorder.ping.get(0, key, m.now, func() labelValues {
		return labelValues{namespace(from), networkType(v4)}
	})
}

// spans counts the time of each span below the root, and the drops.
func (m *measurement) spans() {
	for i := 1; i < len(m.trace.Spans); i++ {
		s := &m.trace.Spans[i]
		if s.Kind.Journey() {
			continue
		}
		m.drops(s)
		if s.Error == "" && !s.Unfinished {
			m.span(i, level(m.trace, s))
		}
	}
}

func (m *measurement) span(at int, within trace.Kind) {
	s := &m.trace.Spans[at]
	key := seriesKey{uint64(s.Kind) | uint64(within)<<8 | uint64(s.Direction)<<16, s.Device, s.NetNS}
	series := m.recorder.device.get(at, key, m.now, func() labelValues {
		return labelValues{
			s.Kind.String(), parentKind(within), device(s.Device), s.Direction.String(),
			namespace(s.NetNS), role(s.NetNS), s.Tenant(),
		}
	})
	m.observe(series, s, s.Duration())
}

// drops counts the packets that died in s. A packet whose death was answered with an ICMP
// error is not among them: traceroute has each of its packets die, and no network is to
// blame. It is counted by its outcome.
func (m *measurement) drops(s *trace.Span) {
	if o := m.trace.Outcome; o == trace.Expired || o == trace.Unreachable {
		return
	}
	for i := range s.Events {
		e := &s.Events[i]
		if e.Name != trace.EventDrop {
			continue
		}
		labels := labelValues{reason(e), device(s.Device), s.Direction.String(), namespace(s.NetNS), m.tenant}
		m.count(m.recorder.drops.byLabels(labels, m.now), s)
	}
}

// count adds one, with s as the exemplar if the series is due for one.
func (m *measurement) count(to *series[prometheus.Counter], s *trace.Span) {
	if m.exemplarDue(&to.exemplars[0]) {
		to.metric.(prometheus.ExemplarAdder).AddWithExemplar(1, m.exemplar(s))
		return
	}
	to.metric.Inc()
}

// observe adds a duration in nanoseconds, with s as the exemplar if its bucket is due for one.
func (m *measurement) observe(to *series[prometheus.Histogram], s *trace.Span, ns int64) {
	v := seconds(ns)
	if m.kept && m.exemplarDue(&to.exemplars[bucket(m.recorder.options.Buckets, v)]) {
		to.metric.(prometheus.ExemplarObserver).ObserveWithExemplar(v, m.exemplar(s))
		return
	}
	to.metric.Observe(v)
}

// exemplarDue reports whether an exemplar may be replaced that was set at *last, and
// says that it is set now. An exemplar costs as much as thirty measurements.
func (m *measurement) exemplarDue(last *int64) bool {
	if !m.kept || m.now-*last < int64(m.recorder.options.ExemplarInterval) {
		return false
	}
	*last = m.now
	return true
}

// exemplar names the span. The keys are those that OpenTelemetry prescribes.
func (m *measurement) exemplar(s *trace.Span) prometheus.Labels {
	return prometheus.Labels{ExemplarTraceID: m.trace.ID.String(), ExemplarSpanID: s.ID.String()}
}

// The labels of an exemplar, as OpenTelemetry and Grafana have them.
const (
	ExemplarTraceID = "trace_id"
	ExemplarSpanID  = "span_id"
)

// seconds divides, because a product with 1e-9 is not the nearest number: 1,000 ns must
// be in the bucket up to 1e-6.
func seconds(ns int64) float64 { return float64(ns) / float64(time.Second) }

// bucket returns the index of the classic bucket of v.
func bucket(bounds []float64, v float64) int {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	return i
}

func reason(e *trace.Event) string {
	for _, a := range e.Attrs {
		if a.Key == trace.AttrDropReason {
			return a.Value()
		}
	}
	return ""
}

func parentKind(k trace.Kind) string {
	if k == hop {
		return ""
	}
	return k.String()
}

func device(d *trace.Device) string {
	if d == nil {
		return ""
	}
	return d.Name
}

func namespace(ns *trace.NetNS) string {
	if ns == nil {
		return ""
	}
	return ns.Name
}

func role(ns *trace.NetNS) string {
	if ns != nil && ns.Hypervisor {
		return "hypervisor"
	}
	return ""
}

func networkType(v4 bool) string {
	if v4 {
		return "ipv4"
	}
	return "ipv6"
}
