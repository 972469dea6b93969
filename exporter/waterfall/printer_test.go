// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/waterfall"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

func TestPrinter(t *testing.T) {
	var b bytes.Buffer
	p := waterfall.NewPrinter(&b, waterfall.Options{})
	one, two := tracetest.Complete(1), tracetest.Dropped(2)
	if err := p.Export(t.Context(), []*trace.Trace{one, two}); err != nil {
		t.Fatal(err)
	}
	want := draw(t, one, waterfall.Options{}) + "\n" + draw(t, two, waterfall.Options{})
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPrinterCountsWhatItCannotWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	p := waterfall.NewPrinter(full, waterfall.Options{})
	traces := tracetest.All()
	if err := p.Export(t.Context(), traces); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Export: %v", err)
	}
	want := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseWrite: exporter.CountOf(traces...)}}
	if diff := cmp.Diff(want, p.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := p.Shutdown(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Shutdown: %v", err)
	}
}

// limited takes some writes and then fails.
type limited struct {
	writes []string
	left   int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left == 0 {
		return 0, errFull
	}
	l.left--
	l.writes = append(l.writes, string(p))
	return len(p), nil
}

var errFull = errors.New("from the test")

// A trace reaches the writer in one piece, and after the first failure nothing does: the
// rest of a drawing without its beginning would mislead.
func TestPrinterStopsAtTheFirstFailure(t *testing.T) {
	w := &limited{left: 2}
	p := waterfall.NewPrinter(w, waterfall.Options{})
	traces := tracetest.All()
	for i, tr := range traces {
		if err := p.Export(t.Context(), []*trace.Trace{tr}); (err != nil) != (i >= 2) || err != nil && !errors.Is(err, errFull) {
			t.Errorf("trace %d: %v", i, err)
		}
		w.left += i / 3 // there is room again, too late
	}
	want := []string{draw(t, traces[0], waterfall.Options{}), "\n" + draw(t, traces[1], waterfall.Options{})}
	if diff := cmp.Diff(want, w.writes); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	stats := exporter.Stats{Sent: exporter.CountOf(traces[:2]...), Lost: map[exporter.Cause]exporter.Count{exporter.CauseWrite: exporter.CountOf(traces[2:]...)}}
	if diff := cmp.Diff(stats, p.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Traces of several goroutines come out one after another, none in another.
func TestPrinterIsConcurrent(t *testing.T) {
	w := &limited{left: -1}
	p := waterfall.NewPrinter(w, waterfall.Options{ASCII: true})
	traces := tracetest.All()
	var all sync.WaitGroup
	for _, tr := range traces {
		all.Go(func() {
			if err := p.Export(t.Context(), []*trace.Trace{tr, tr}); err != nil {
				t.Error(err)
			}
			p.Stats()
		})
	}
	all.Wait()
	for i, text := range w.writes {
		if strings.HasPrefix(text, "\n") != (i > 0) || strings.Count(text, "\ntrace ") != 1 {
			t.Errorf("write %d:\n%s", i, text)
		}
	}
	if sent := p.Stats().Sent; len(w.writes) != 2*len(traces) || sent != exporter.CountOf(append(traces, traces...)...) {
		t.Errorf("%d writes; %+v", len(w.writes), sent)
	}
}
