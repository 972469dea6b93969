// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
)

// What is held while an exporter is exchanged is handed on in order, and what exceeds
// the room is counted, whole traces at a time.
func TestHandOverBuffer(t *testing.T) {
	h := &handOverBuffer{limit: 7}
	all := pings(6) // of two spans
	if err := h.Export(t.Context(), all[:2]); err != nil {
		t.Error(err)
	}
	if err := h.Export(t.Context(), all[2:5]); err == nil {
		t.Error("more than there is room for, and no error")
	}
	if got := h.Stats(); got.Queued != exporter.CountOf(all[:3]...) || got.Lost[exporter.CauseQueueFull] != exporter.CountOf(all[3:5]...) {
		t.Errorf("%+v", got)
	}
	if got := h.take(); len(got) != 3 || got[0] != all[0] || got[1] != all[1] || got[2] != all[2] {
		t.Errorf("took %d traces, not the first three in order", len(got))
	}
	small := &trace.Trace{Spans: make([]trace.Span, 7)} // exactly
	if err := h.Export(t.Context(), []*trace.Trace{small}); err != nil || h.Stats().Queued.Spans != 7 {
		t.Errorf("after that: %v, %+v", err, h.Stats())
	}
	if err := h.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "3 traces (11 spans) were lost") {
		t.Errorf("Shutdown: %v", err)
	}
	want := exporter.CountOf(all[3:5]...).Plus(exporter.CountOf(small))
	if got := h.Stats(); got.Queued != (exporter.Count{}) || got.Lost[exporter.CauseQueueFull] != want || len(h.take()) != 0 {
		t.Errorf("over: %+v", got)
	}
}

// stubborn is an exporter whose end fails.
type stubborn struct{ fake }

func (s *stubborn) Shutdown(context.Context) error { return errors.New("cannot end") }

// That an exporter did not end well is logged, and is not an error of the end.
func TestBadEndIsLogged(t *testing.T) {
	log := &logBuffer{}
	s := &swappable{log: newLogger(log)}
	s.swap(&stubborn{})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	says(t, log.String(), "level=WARN", "cannot end")
	if s.open() {
		t.Error("it is still there")
	}
}
