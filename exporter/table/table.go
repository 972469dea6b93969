// SPDX-License-Identifier: Apache-2.0

// Package table sums up the dwell of many pings: for each span on the path, how
// often it was passed, the mean, the median and the 99th percentile.
package table

import (
	"context"
	"slices"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// DefaultSamples is how many durations are kept of each row: 800 kB.
const DefaultSamples = 100_000

// Table collects traces. Only those of complete pings count: a span that was cut
// short by a drop says nothing about the device. It is an exporter that holds
// nothing back.
type Table struct {
	samples int

	mu         sync.Mutex
	rows       []*row
	byKey      map[key]*row
	stats      exporter.Stats
	incomplete int64
}

var _ exporter.Exporter = (*Table)(nil)

// key is what makes spans of different pings the same row.
type key struct {
	direction     trace.Direction
	name, service string
	depth         uint8
}

type row struct {
	key
	dwell sample
}

// New returns an empty table that keeps so many durations of each row; 0 means
// DefaultSamples. Percentiles are exact up to that number of pings, and from a
// random sample of that size beyond. Count and mean are always exact.
func New(samples int) *Table {
	if samples <= 0 {
		samples = DefaultSamples
	}
	return &Table{samples: samples, byKey: make(map[key]*row)}
}

// Export adds the traces. It never fails.
func (t *Table) Export(_ context.Context, traces []*trace.Trace) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range traces {
		if tr.Outcome != trace.Complete && tr.Outcome != trace.Partial {
			t.incomplete++
			continue
		}
		t.add(tr)
	}
	t.stats.Sent = t.stats.Sent.Plus(exporter.CountOf(traces...))
	return nil
}

// add counts the spans of one trace. A row that is new goes behind the row of the
// span before it, so that rows stand in the order of the path even if some pings
// take a way of their own.
func (t *Table) add(tr *trace.Trace) {
	place := 0
	for i := range tr.Spans {
		s := &tr.Spans[i]
		k := key{direction: s.Direction, name: nameOf(s), service: serviceOf(s), depth: s.Depth}
		r := t.byKey[k]
		if r == nil {
			r = &row{key: k, dwell: newSample(t.samples)}
			t.byKey[k] = r
			t.rows = slices.Insert(t.rows, place, r)
		}
		place = slices.Index(t.rows, r) + 1
		r.dwell.add(s.Duration())
	}
}

// nameOf leaves out the addresses that earlier versions put into the name of a root: pings
// between different hosts are summed up too.
func nameOf(s *trace.Span) string {
	if s.Kind == trace.KindPing {
		return s.Kind.String()
	}
	return s.Name()
}

func serviceOf(s *trace.Span) string {
	if s.NetNS == nil {
		return ""
	}
	return s.NetNS.Name
}

// Shutdown does nothing.
func (t *Table) Shutdown(context.Context) error { return nil }

// Stats returns how many traces were added.
func (t *Table) Stats() exporter.Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return exporter.Stats{}.Plus(t.stats)
}
