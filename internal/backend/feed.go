// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// feed is what is remembered for one tenant, or for the operator, and who reads along.
type feed struct {
	tenant string
	hub    *Hub

	mu sync.Mutex
	// book is nil until the first trace.
	book        *book
	subscribers []*subscriber
	closed      bool
}

// limits bound what a book remembers.
type limits struct {
	traces, pings int
	// bytes is for the traces.
	bytes int
}

// book is what one feed remembers. feed.mu is held.
type book struct {
	// since and last are when the first and the last ping began.
	since, last int64
	counts      counts
	rtt         histogram
	places      *places
	pings       ring[ping]
	traces      ring[kept]
	// bytes is what the traces take, about.
	bytes int
}

// kept is a trace with its size in memory.
type kept struct {
	trace *trace.Trace
	bytes int
}

// take records finished traces and hands them to who reads along.
func (f *feed) take(traces []*trace.Trace) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.book == nil {
		f.book = &book{places: newPlaces(f.hub.options.Devices)}
	}
	limit := f.limits()
	for _, t := range traces {
		if len(t.Spans) > 0 {
			f.book.record(t, limit)
		}
	}
	if len(f.subscribers) > 0 {
		f.publish(traces)
	}
}

// record counts one trace and keeps it.
func (b *book) record(t *trace.Trace, limit limits) {
	root := t.Root()
	if b.since == 0 {
		b.since = root.Start
	}
	b.last = root.Start
	b.counts.add(t)
	rtt, replied := t.RTT()
	if replied && t.Outcome == trace.Complete {
		b.rtt.observe(rtt)
	}
	for i := 1; i < len(t.Spans); i++ {
		s := &t.Spans[i]
		if !s.Kind.Journey() && s.Error == "" && !s.Unfinished {
			b.places.observe(t, i)
		}
	}
	b.pings.push(pingOf(t, rtt, replied), limit.pings)
	b.keep(t, limit)
}

// keep remembers a trace. One that is too large by itself is the only one.
func (b *book) keep(t *trace.Trace, limit limits) {
	size := sizeOf(t)
	for b.traces.n > 0 && b.bytes+size > limit.bytes {
		b.drop()
	}
	for b.traces.n >= limit.traces {
		b.drop()
	}
	b.traces.push(kept{t, size}, limit.traces)
	b.bytes += size
}

func (b *book) drop() { b.bytes -= b.traces.drop().bytes }

// limits returns those in force: the operator does not share.
func (f *feed) limits() limits {
	if f == f.hub.operator {
		return f.hub.share(1)
	}
	return *f.hub.limits.Load()
}

// trim keeps to limits that may have become tighter.
func (f *feed) trim() {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, limit := f.book, f.limits()
	if b == nil {
		return
	}
	for b.pings.n > limit.pings {
		b.pings.drop()
	}
	for b.traces.n > 1 && (b.bytes > limit.bytes || b.traces.n > limit.traces) {
		b.drop()
	}
}

// publish gives each subscriber the traces that it wants. Encoding them is left to whoever
// sends one first.
func (f *feed) publish(traces []*trace.Trace) {
	lines := make([]*line, len(traces))
	for i, t := range traces {
		lines[i] = newLine(t)
	}
	for _, s := range f.subscribers {
		s.push(lines)
	}
}

// tenantInfo describes the feed in short.
func (f *feed) tenantInfo() api.Tenant {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := api.Tenant{ID: f.tenant}
	if b := f.book; b != nil {
		info.Since, info.LastPing, info.Pings = at(b.since), at(b.last), b.counts.total
	}
	return info
}

// rowsAtOnce is how many rows are read while the agent's loop may have to wait.
const rowsAtOnce = 16

// summary counts. It lets take in between every few rows.
func (f *feed) summary() api.Summary {
	s := api.Summary{Tenant: f.tenant, Pings: (&counts{}).shown(), Devices: []api.Device{}}
	f.mu.Lock()
	b := f.book
	if b == nil {
		f.mu.Unlock()
		return s
	}
	s.Since, s.Pings, s.RTT = at(b.since), b.counts.shown(), b.rtt.times()
	if rest := &b.places.rest; rest.times.count > 0 {
		s.Truncated = rest.times.count
		s.Devices = append(s.Devices, api.Device{Overflow: true, Times: rest.times.times()})
	}
	rows := b.places.all()
	f.mu.Unlock()
	shown := make([]api.Device, 0, len(rows)+1)
	for len(rows) > 0 {
		n := min(rowsAtOnce, len(rows))
		f.mu.Lock()
		for _, r := range rows[:n] {
			shown = append(shown, r.shown())
		}
		f.mu.Unlock()
		rows = rows[n:]
	}
	sortDevices(shown)
	s.Devices = append(shown, s.Devices...)
	return s
}

// lastPings returns up to n pings, newest first.
func (f *feed) lastPings(n int) api.Pings {
	f.mu.Lock()
	var list []ping
	if f.book != nil {
		list = f.book.pings.last(n)
	}
	f.mu.Unlock()
	out := api.Pings{Pings: make([]api.Ping, 0, len(list))}
	for i := len(list) - 1; i >= 0; i-- {
		out.Pings = append(out.Pings, list[i].shown())
	}
	return out
}

// find returns the newest trace with that ID, or nil.
func (f *feed) find(id trace.ID) *trace.Trace {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.book == nil {
		return nil
	}
	for i := f.book.traces.n - 1; i >= 0; i-- {
		if t := f.book.traces.at(i).trace; t.ID == id {
			return t
		}
	}
	return nil
}

// at returns a moment for the API, always in UTC.
func at(ns int64) *time.Time {
	t := time.Unix(0, ns).UTC()
	return &t
}
