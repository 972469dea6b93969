// SPDX-License-Identifier: Apache-2.0

package exporter_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// fake is an exporter that fails with err, if not nil.
type fake struct {
	err      error
	stats    exporter.Stats
	shutdown int
}

func (f *fake) Export(_ context.Context, traces []*trace.Trace) error {
	if f.err != nil {
		f.stats.Lost = map[exporter.Cause]exporter.Count{exporter.CauseWrite: exporter.CountOf(traces...)}
		return f.err
	}
	f.stats.Sent = f.stats.Sent.Plus(exporter.CountOf(traces...))
	return nil
}

func (f *fake) Shutdown(context.Context) error {
	f.shutdown++
	return f.err
}

func (f *fake) Stats() exporter.Stats { return f.stats }

func TestMultiKeepsFailuresApart(t *testing.T) {
	broken := &fake{err: errors.New("broken")}
	sound := &fake{}
	m := exporter.Multi{broken, sound}
	traces := []*trace.Trace{tracetest.Complete(1)}
	if err := m.Export(t.Context(), traces); !errors.Is(err, broken.err) {
		t.Errorf("Export: %v", err)
	}
	if err := m.Shutdown(t.Context()); !errors.Is(err, broken.err) {
		t.Errorf("Shutdown: %v", err)
	}
	if broken.shutdown != 1 || sound.shutdown != 1 {
		t.Errorf("shut down %d and %d times", broken.shutdown, sound.shutdown)
	}
	want := exporter.Stats{
		Sent: exporter.CountOf(traces...),
		Lost: map[exporter.Cause]exporter.Count{exporter.CauseWrite: exporter.CountOf(traces...)},
	}
	if diff := cmp.Diff(want, m.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatsInWords(t *testing.T) {
	s := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{
		exporter.CauseRejected:  {Spans: 1},
		exporter.CauseQueueFull: {Traces: 1, Spans: 20},
		exporter.CauseShutdown:  {},
	}}
	if got, want := s.LostString(), "queue_full: 1 trace (20 spans), rejected: 0 traces (1 span)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
