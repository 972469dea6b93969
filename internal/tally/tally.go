// SPDX-License-Identifier: Apache-2.0

// Package tally counts pings by how they ended, for summaries.
package tally

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Counts counts traces. The zero value counts none and is ready to use.
type Counts struct {
	// Complete is the number of complete ones.
	Complete uint64
	// Dropped counts by the kernel's reason, Incomplete by cause.
	Dropped    map[string]uint64
	Incomplete map[trace.Cause]uint64
	// Other counts those with any other outcome.
	Other map[trace.Outcome]uint64
	// Duplicates is the number of replies delivered after the first.
	Duplicates uint64
	// Fast is the number of pings of which the fast path took a packet, and Slow how many packets
	// it left to the kernel, by reason.
	Fast uint64
	Slow map[string]uint64
}

// Add counts a trace.
func (p *Counts) Add(t *trace.Trace) {
	p.Duplicates += uint64(t.Duplicates)
	p.addFastPath(t)
	switch t.Outcome {
	case trace.Complete:
		p.Complete++
	case trace.Dropped:
		count(&p.Dropped, t.DropReason)
	case trace.Incomplete:
		count(&p.Incomplete, t.Cause)
	default:
		count(&p.Other, t.Outcome)
	}
}

// addFastPath counts what the fast path did.
func (p *Counts) addFastPath(t *trace.Trace) {
	if t.TookFastPath() {
		p.Fast++
	}
	for i := range t.Spans {
		for k := range t.Spans[i].Events {
			if e := &t.Spans[i].Events[k]; e.Name == trace.EventFallback {
				count(&p.Slow, e.Text(trace.AttrFastPathReason))
			}
		}
	}
}

func count[K comparable](m *map[K]uint64, key K) {
	if *m == nil {
		*m = map[K]uint64{}
	}
	(*m)[key]++
}

// Pings returns the number of traces.
func (p Counts) Pings() uint64 {
	return p.Complete + Sum(p.Dropped) + Sum(p.Incomplete) + Sum(p.Other)
}

// Clone returns a copy that does not change when p does.
func (p Counts) Clone() Counts {
	p.Dropped, p.Incomplete, p.Other = maps.Clone(p.Dropped), maps.Clone(p.Incomplete), maps.Clone(p.Other)
	p.Slow = maps.Clone(p.Slow)
	return p
}

// String returns the counts on one line. Outcomes other than complete, dropped and
// incomplete are there if a ping had them, and so is the fast path:
//
//	9 pings: 6 complete, 1 dropped (NETFILTER_DROP: 1), 1 incomplete (no_reply: 1), 1 expired, 2 duplicate replies
func (p Counts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d pings: %d complete, %s, %s", p.Pings(), p.Complete,
		ByReason("dropped", p.Dropped), ByReason("incomplete", p.Incomplete))
	for _, o := range slices.Sorted(maps.Keys(p.Other)) {
		fmt.Fprintf(&b, ", %d %s", p.Other[o], o)
	}
	if p.Duplicates > 0 {
		fmt.Fprintf(&b, ", %d duplicate replies", p.Duplicates)
	}
	if p.Fast > 0 {
		fmt.Fprintf(&b, ", %d by the fast path", p.Fast)
	}
	return b.String()
}

// Notes returns a sentence about each outcome that a reader may not expect, and about packets
// that did not take the fast path although there is one.
func (p Counts) Notes() []string {
	var notes []string
	for _, o := range slices.Sorted(maps.Keys(p.Other)) {
		if m := o.Meaning(); m != "" {
			notes = append(notes, o.String()+": "+m)
		}
	}
	if len(p.Slow) > 0 {
		notes = append(notes, ByReason("packets left to the kernel by the fast path", p.Slow))
	}
	return notes
}

// Sum adds up counts.
func Sum[K comparable](m map[K]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// ByReason returns "2 dropped (A: 1, B: 1)".
func ByReason[K ~string](what string, m map[K]uint64) string {
	out := fmt.Sprintf("%d %s", Sum(m), what)
	if len(m) == 0 {
		return out
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return out + " (" + strings.Join(parts, ", ") + ")"
}
