// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/exporter/tenants"
)

// HubOptions bound what a hub remembers. What is 0 gets its default.
type HubOptions struct {
	// OTLP is what stands on every resource.
	OTLP otlp.Options
	// Traces, TraceBytes and Pings are how much of the last traces and pings is kept of each
	// tenant, and of the operator.
	Traces, TraceBytes, Pings int
	// TotalTraceBytes and TotalPings are for all tenants together: each may keep an equal
	// share, however little the others use of theirs, so that no tenant's pings make room
	// for another's.
	TotalTraceBytes, TotalPings int
	// Devices is how many places are counted apart, for each tenant and for the operator.
	Devices int
	// QueueLines and QueueBytes are how much waits for a reader of a stream before it loses
	// lines.
	QueueLines, QueueBytes int
}

// The defaults of HubOptions.
const (
	DefaultTraces          = 256
	DefaultTraceBytes      = 4 << 20
	DefaultPings           = 1000
	DefaultTotalTraceBytes = 64 << 20
	DefaultTotalPings      = 100_000
	DefaultDevices         = 256
	DefaultQueueLines      = 4096
	DefaultQueueBytes      = 8 << 20
)

// leastPings is what every tenant may keep, however many there are.
const leastPings = 16

func (o HubOptions) withDefaults() HubOptions {
	for _, d := range []struct {
		option *int
		is     int
	}{
		{&o.Traces, DefaultTraces},
		{&o.TraceBytes, DefaultTraceBytes},
		{&o.Pings, DefaultPings},
		{&o.TotalTraceBytes, DefaultTotalTraceBytes},
		{&o.TotalPings, DefaultTotalPings},
		{&o.Devices, DefaultDevices},
		{&o.QueueLines, DefaultQueueLines},
		{&o.QueueBytes, DefaultQueueBytes},
	} {
		if *d.option <= 0 {
			*d.option = d.is
		}
	}
	return o
}

// Hub remembers what each tenant, and the operator, may see of the traces. Its methods may be
// called concurrently.
type Hub struct {
	options  HubOptions
	operator *feed
	// feeds are those of the tenants, by ID; exchanged as a whole by SetTenants.
	feeds  atomic.Pointer[map[string]*feed]
	set    sync.Mutex
	limits atomic.Pointer[limits]
	// encoders are kept because each remembers what repeats.
	encoders sync.Pool
	// lost counts the lines that readers were too slow for.
	lost atomic.Uint64
}

var _ tenants.Sink = (*Hub)(nil)

// NewHub makes a hub that knows no tenants yet.
func NewHub(o HubOptions) *Hub {
	h := &Hub{options: o.withDefaults()}
	h.encoders.New = func() any { return otlpfile.NewEncoder(h.options.OTLP) }
	h.operator = &feed{hub: h}
	h.feeds.Store(&map[string]*feed{})
	limit := h.share(1)
	h.limits.Store(&limit)
	return h
}

// share returns what each of n tenants may keep.
func (h *Hub) share(n int) limits {
	o := h.options
	n = max(n, 1)
	return limits{
		traces: o.Traces,
		bytes:  min(o.TraceBytes, o.TotalTraceBytes/n),
		pings:  min(o.Pings, max(o.TotalPings/n, leastPings)),
	}
}

// SetTenants says which tenants there are. What is remembered of the others is forgotten, and
// their streams end.
func (h *Hub) SetTenants(ids []string) {
	h.set.Lock()
	defer h.set.Unlock()
	before := *h.feeds.Load()
	now := make(map[string]*feed, len(ids))
	for _, id := range ids {
		f := before[id]
		if f == nil {
			f = &feed{tenant: id, hub: h}
		}
		now[id] = f
	}
	limit := h.share(len(now))
	h.limits.Store(&limit)
	h.feeds.Store(&now)
	for id, f := range before {
		if now[id] == nil {
			f.close()
		} else {
			f.trim()
		}
	}
}

// Take implements [tenants.Sink]. What is of a tenant that SetTenants did not name is
// discarded: it has just been removed.
func (h *Hub) Take(tenant string, views []*trace.Trace) {
	if f := (*h.feeds.Load())[tenant]; f != nil {
		f.take(views)
	}
}

// Operator takes whole traces, for the operator alone. It must not be given what is only to
// be seen by a tenant, nor wait for anything.
func (h *Hub) Operator(traces []*trace.Trace) { h.operator.take(traces) }

// feed returns that of a tenant, or nil.
func (h *Hub) feed(tenant string) *feed { return (*h.feeds.Load())[tenant] }

// tenants returns the IDs of all tenants in order.
func (h *Hub) tenants() []string { return slices.Sorted(maps.Keys(*h.feeds.Load())) }

// encode appends one line with its newline.
func (h *Hub) encode(b []byte, t *trace.Trace) ([]byte, error) {
	e := h.encoders.Get().(*otlpfile.Encoder)
	defer h.encoders.Put(e)
	return e.Append(b, []*trace.Trace{t})
}
