// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/loss"
)

// Summary is what a run saw.
type Summary struct {
	// Complete, Dropped and Incomplete count the traces that were handed on.
	Complete   uint64
	Dropped    map[string]uint64
	Incomplete map[trace.Cause]uint64
	Duplicates uint64
	Kernel     bpf.Stats
	Correlator correlate.Stats
	Export     exporter.Stats
}

func newSummary() Summary {
	return Summary{Dropped: map[string]uint64{}, Incomplete: map[trace.Cause]uint64{}}
}

func (s *Summary) add(t *trace.Trace) {
	s.Duplicates += uint64(t.Duplicates)
	switch t.Outcome {
	case trace.Complete:
		s.Complete++
	case trace.Dropped:
		s.Dropped[t.DropReason]++
	default:
		s.Incomplete[t.Cause]++
	}
}

// Pings returns the number of traces.
func (s Summary) Pings() uint64 { return s.Complete + sum(s.Dropped) + sum(s.Incomplete) }

// Lost returns the number of events that the kernel side could not hand over.
func (s Summary) Lost() uint64 { return s.Kernel.Total().Lost + s.Kernel.Missed }

// Losses returns what was lost before the traces were finished.
func (s Summary) Losses() loss.Counts {
	kernel := s.Kernel.Total()
	return loss.Counts{
		RingFull: kernel.Lost, Missed: s.Kernel.Missed,
		XmitOverflow: kernel.XmitOverflow, XmitMismatch: kernel.XmitMismatch,
		Malformed: s.Kernel.Malformed,
		Late:      s.Correlator.Late, Stray: s.Correlator.Stray,
		Overflow: s.Correlator.Overflow, Evicted: s.Correlator.Evicted,
	}
}

// String returns the summary on one line, and below it a line for each kind of loss:
//
//	100 pings: 98 complete, 1 dropped (NETFILTER_DROP: 1), 1 incomplete (no_reply: 1); 2400 events, 0 lost
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d pings: %d complete, %s, %s", s.Pings(), s.Complete,
		byReason("dropped", s.Dropped), byReason("incomplete", s.Incomplete))
	if s.Duplicates > 0 {
		fmt.Fprintf(&b, ", %d duplicate replies", s.Duplicates)
	}
	fmt.Fprintf(&b, "; %d events, %d lost", s.Kernel.Total().Emitted, s.Lost())
	for _, trouble := range s.troubles() {
		b.WriteString("\n  " + trouble)
	}
	return b.String()
}

// troubles lists what was lost, of events and of what should have been exported.
func (s Summary) troubles() []string {
	out := s.Losses().Advice()
	if lost := s.Export.LostString(); lost != "" {
		out = append(out, "not exported: "+lost)
	}
	if left := s.Export.Queued; left != (exporter.Count{}) {
		out = append(out, "not exported, never taken: "+left.String())
	}
	return out
}

func sum[K comparable](m map[K]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// byReason returns "2 dropped (A: 1, B: 1)".
func byReason[K ~string](what string, m map[K]uint64) string {
	out := fmt.Sprintf("%d %s", sum(m), what)
	if len(m) == 0 {
		return out
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return out + " (" + strings.Join(parts, ", ") + ")"
}
