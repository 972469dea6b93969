// SPDX-License-Identifier: Apache-2.0

package sampling

import (
	"context"
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// sink keeps what it gets.
type sink struct{ traces []*trace.Trace }

func (s *sink) Export(_ context.Context, traces []*trace.Trace) error {
	s.traces = append(s.traces, traces...)
	return nil
}
func (s *sink) Shutdown(context.Context) error { return nil }
func (s *sink) Stats() exporter.Stats {
	return exporter.Stats{Sent: exporter.CountOf(s.traces...)}
}

func (s *sink) ids() map[trace.ID]bool {
	ids := map[trace.ID]bool{}
	for _, t := range s.traces {
		ids[t.ID] = true
	}
	return ids
}

func newExporter(t *testing.T, o Options) (*Exporter, *sink) {
	t.Helper()
	s := &sink{}
	e, err := New(o, s)
	if err != nil {
		t.Fatal(err)
	}
	return e, s
}

func export(t *testing.T, e *Exporter, traces ...*trace.Trace) {
	t.Helper()
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
}

// random returns a copy of a trace with an ID as a hash would make it.
func random(r *rand.Rand, t *trace.Trace) *trace.Trace {
	c := *t
	binary.BigEndian.PutUint64(c.ID[:8], r.Uint64())
	binary.BigEndian.PutUint64(c.ID[8:], r.Uint64())
	return &c
}

func TestWhatIsAlwaysKept(t *testing.T) {
	slow := tracetest.Complete(7)
	slow.Spans[slow.ReplySpan].End = slow.Root().Start + int64(2*time.Millisecond)
	e, s := newExporter(t, Options{Ratio: 0, KeepSlowerThan: time.Millisecond})
	again := tracetest.Complete(11) // its second reply is late, which says nothing of the first
	again.Root().End = slow.Root().End
	traces := append(tracetest.All(), slow, again)
	export(t, e, traces...)
	got := map[string]string{}
	for _, tr := range s.traces {
		got[tr.Outcome.String()+" "+strconv.Itoa(int(tr.Ping.Seq))] = tr.State
	}
	want := map[string]string{
		"dropped 3": "ot=th:0", "incomplete 4": "ot=th:0", "incomplete 5": "ot=th:0", "complete 7": "ot=th:0",
		"unreachable 7": "ot=th:0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	fast := exporter.CountOf(slices.DeleteFunc(slices.Clone(traces), func(tr *trace.Trace) bool { return s.ids()[tr.ID] })...)
	if diff := cmp.Diff(fast, e.SampledOut()); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	for _, tr := range traces {
		if tr.State != "" {
			t.Errorf("the original of %s was changed, and others may have it", tr.Ping)
		}
		if kept := s.ids()[tr.ID]; e.Keeps(tr) != kept {
			t.Errorf("Keeps says %t of %s, and Export %t", !kept, tr.Ping, kept)
		}
	}
}

// TestHostsDecideAlike has two agents see one journey each of the same pings.
func TestHostsDecideAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	here, kept := newExporter(t, Options{Ratio: 0.1})
	there, keptThere := newExporter(t, Options{Ratio: 0.1, KeepSlowerThan: time.Hour})
	more, keptMore := newExporter(t, Options{Ratio: 0.4})
	leaves, passes := tracetest.Beyond(1), tracetest.Complete(2)
	for range 5000 {
		sent := random(r, leaves)
		passing := random(r, passes)
		passing.ID = sent.ID
		export(t, here, sent)
		export(t, there, passing)
		export(t, more, passing)
	}
	if !maps.Equal(kept.ids(), keptThere.ids()) {
		t.Errorf("%d are kept here and %d there, not the same", len(kept.ids()), len(keptThere.ids()))
	}
	for id := range kept.ids() {
		if !keptMore.ids()[id] {
			t.Errorf("%s is kept with 0.1 and not with 0.4", id)
		}
	}
	if a, b := len(kept.traces), len(keptMore.traces); a == 0 || b <= a {
		t.Errorf("%d are kept with 0.1 and %d with 0.4", a, b)
	}
}

// adjustedCount is what a backend makes of a tracestate: how many spans one stands for.
func adjustedCount(t *testing.T, state string) float64 {
	t.Helper()
	digits, ok := strings.CutPrefix(state, "ot=th:")
	th, err := strconv.ParseUint((digits + strings.Repeat("0", 14))[:14], 16, 64)
	if !ok || err != nil {
		t.Fatalf("tracestate %q: %v", state, err)
	}
	return maxThreshold / float64(maxThreshold-th)
}

// TestCountsAreWithoutBias holds what the tracestate is for: the numbers that spans
// stand for add up to those of all pings, of each outcome.
func TestCountsAreWithoutBias(t *testing.T) {
	const n, ratio = 20_000, 0.05
	r := rand.New(rand.NewPCG(3, 4))
	e, s := newExporter(t, Options{Ratio: ratio})
	complete, dropped := tracetest.Beyond(1), tracetest.Dropped(2)
	for range n {
		export(t, e, random(r, complete), random(r, dropped))
	}
	sums := map[trace.Outcome]float64{}
	for _, tr := range s.traces {
		sums[tr.Outcome] += adjustedCount(t, tr.State)
	}
	if sums[trace.Dropped] != n {
		t.Errorf("dropped pings: %v, want exactly %d", sums[trace.Dropped], n)
	}
	// Five standard deviations of a binomial distribution; the generator is seeded.
	within := 5 * math.Sqrt(n*ratio*(1-ratio)) / ratio
	if off := math.Abs(sums[trace.Complete] - n); off > within {
		t.Errorf("complete pings: %v, want %d within %.0f", sums[trace.Complete], n, within)
	}
	if got := e.SampledOut().Plus(exporter.CountOf(s.traces...)).Traces; got != 2*n {
		t.Errorf("%d traces were kept or left out, want %d", got, 2*n)
	}
}

func TestRatioOfOneKeepsAll(t *testing.T) {
	e, s := newExporter(t, Options{Ratio: 1})
	all := tracetest.All()
	export(t, e, all...)
	if len(s.traces) != len(all) || e.SampledOut() != (exporter.Count{}) {
		t.Errorf("%d traces were kept, want %d; %s left out", len(s.traces), len(all), e.SampledOut())
	}
	for i, tr := range s.traces {
		if tr.State != "ot=th:0" || tr.ID != all[i].ID {
			t.Errorf("trace %d: %s with %q", i, tr.ID, tr.State)
		}
	}
}

func TestSet(t *testing.T) {
	e, s := newExporter(t, Options{Ratio: 0})
	export(t, e, tracetest.Complete(1))
	if err := e.Set(Options{Ratio: 2}); err == nil {
		t.Error("no error")
	}
	export(t, e, tracetest.Complete(2))
	if err := e.Set(Options{Ratio: 1}); err != nil {
		t.Fatal(err)
	}
	export(t, e, tracetest.Complete(3))
	if len(s.traces) != 1 || s.traces[0].Ping.Seq != 3 {
		t.Errorf("%d traces were kept, want only the last", len(s.traces))
	}
}
