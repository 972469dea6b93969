// SPDX-License-Identifier: Apache-2.0

package waterfall_test

import (
	"bytes"
	"errors"
	"os"
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
