// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/loss"
	"github.com/dwelltrace/dwell/internal/tally"
)

// Summary is what a run saw.
type Summary struct {
	// Counts are of the traces that were handed on.
	tally.Counts
	Kernel     bpf.Stats
	Correlator correlate.Stats
	Export     exporter.Stats
	// Gated is what was left out because there was more than can be traced or than
	// Options.MaxRate, SampledOut what Options.Threshold left out.
	Gated, SampledOut LeftOut
	// LeftDrops is how many echo packets that were left out the kernel dropped, by reason. It is not
	// to be modified.
	LeftDrops map[string]uint64
}

// Lost returns the number of events that the kernel side could not hand over.
func (s Summary) Lost() uint64 { return s.Kernel.Total().Lost + s.Kernel.Missed }

// Discarded returns the number of events that were read, and of which no trace was made on purpose.
func (s Summary) Discarded() uint64 { return s.Gated.Events + s.SampledOut.Events }

// Losses returns what was lost before the traces were finished.
func (s Summary) Losses() loss.Counts {
	kernel := s.Kernel.Total()
	return loss.Counts{
		Gated:    kernel.Gated,
		RingFull: kernel.Lost, Missed: s.Kernel.Missed,
		XmitOverflow: kernel.XmitOverflow, XmitMismatch: kernel.XmitMismatch,
		Malformed: s.Kernel.Malformed,
		Late:      s.Correlator.Late, Stray: s.Correlator.Stray,
		Overflow: s.Correlator.Overflow, Evicted: s.Correlator.Evicted,
		Unnamed: s.Correlator.GivenUp,
	}
}

// String returns the summary on one line, and below it a line for each outcome that needs an
// explanation and for each kind of loss:
//
//	100 pings: 98 complete, 1 dropped (NETFILTER_DROP: 1), 1 incomplete (no_reply: 1); 2400 events, 0 lost
func (s Summary) String() string {
	out := fmt.Sprintf("%s; %d events, %d lost", s.Counts, s.Kernel.Total().Emitted, s.Lost())
	for _, line := range slices.Concat(s.Notes(), s.troubles()) {
		out += "\n  " + line
	}
	return out
}

// troubles lists what was lost, of events and of what should have been exported.
func (s Summary) troubles() []string {
	out := s.Losses().Advice()
	if n := s.Gated.Pings; n > 0 {
		out = append(out, fmt.Sprintf("about %d pings left out on purpose; see docs/losses.md", n))
	}
	if n := s.SampledOut.Pings; n > 0 {
		out = append(out, fmt.Sprintf("about %d pings left out by sampling", n))
	}
	if len(s.LeftDrops) > 0 {
		out = append(out, tally.ByReason("packets of pings left out were dropped", s.LeftDrops))
	}
	if lost := s.Export.LostString(); lost != "" {
		out = append(out, "not exported: "+lost)
	}
	if left := s.Export.Queued; left != (exporter.Count{}) {
		out = append(out, "not exported, never taken: "+left.String())
	}
	return out
}
