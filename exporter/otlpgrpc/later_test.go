// SPDX-License-Identifier: Apache-2.0

package otlpgrpc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/internal/check/disktest"
)

// absence makes a backend that is away until it is told to be back.
func absence(t *testing.T) (s *server, back func()) {
	t.Helper()
	var here atomic.Bool
	s = serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if !here.Load() {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	return s, func() { here.Store(true) }
}

// TestSpoolThatComesLater: with a spool that cannot be used at the start, traces are sent and
// wait in memory; what finds no room there is counted. Once it can be used, they wait there,
// behind what an earlier process has left, and all arrive that are not counted as lost.
func TestSpoolThatComesLater(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	s, back := absence(t)
	traces := pings(520)
	e := start(t, spooled(dir, s.address))
	export(t, e, traces[:50])
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	away := dir + "-away"
	if err := errors.Join(os.Rename(dir, away), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	o := spooled(dir, s.address)
	o.Logger = log.logger()
	o.Queue = exporter.Queue{Spans: 2000, BatchSpans: 200}
	e = start(t, o)
	for i := range traces[50:500] {
		_ = e.Export(t.Context(), traces[50+i:51+i]) // what is dropped is counted
	}
	if got := e.Stats(); got.SpoolsFailing != 1 || got.Lost[exporter.CauseSpoolWrite].Traces == 0 || got.Queued.Spans < 1000 || got.Spooled.Spans != 0 {
		t.Errorf("without a spool: %+v", got)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, away, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an open spool", func() bool { return e.Stats().SpoolsFailing == 0 })
	eventually(t, "room in memory", func() bool { s := e.Stats(); return s.Queued.Spans-s.Spooled.Spans < 300 })
	if got := e.Stats(); got.Recovered != exporter.CountOf(traces[:50]...) {
		t.Errorf("with the spool: %+v", got)
	}
	export(t, e, traces[500:])
	eventually(t, "an answer", func() bool { return strings.Contains(log.String(), "export is failing") })
	back()
	settled(t, e)
	_ = e.Shutdown(t.Context()) // there were losses
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
	s.mustHave(t, traces[:50])
	s.mustHave(t, traces[500:])
	for _, once := range []string{"the spool cannot be used", "the spool can be used now", "export recovered"} {
		if strings.Count(log.String(), once) != 1 {
			t.Errorf("not logged once: %q\n%s", once, log.String())
		}
	}
}

// TestSpoolNeverComes: what is in memory at the end is lost and counted, and what could be
// sent was sent.
func TestSpoolNeverComes(t *testing.T) {
	t.Parallel()
	dir, _ := disktest.ReadOnly(t)
	var away atomic.Bool
	s := serve(t, func(ctx context.Context, call int) (*coltracepb.ExportTraceServiceResponse, error) {
		if away.Load() {
			return nil, status.Error(codes.Unavailable, "gone")
		}
		return accept(ctx, call)
	})
	e := start(t, spooled(dir, s.address))
	traces := pings(60)
	export(t, e, traces[:30])
	settled(t, e)
	away.Store(true)
	export(t, e, traces[30:])
	if err := e.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "spool_write: 30 traces") {
		t.Errorf("Shutdown: %v", err)
	}
	s.mustHave(t, traces[:30])
	s.mustBalance(t, exporter.CountOf(traces...), e.Stats())
}

// TestSpoolComesAtTheEnd: an exporter that ends tries once more, so that nothing is lost if
// the disk was mended meanwhile.
func TestSpoolComesAtTheEnd(t *testing.T) {
	t.Parallel()
	dir, mend := disktest.ReadOnly(t)
	s, back := absence(t)
	e := start(t, spooled(dir, s.address))
	traces := pings(30)
	export(t, e, traces)
	mend()
	if err := e.Shutdown(t.Context()); err != nil || e.Stats().Spooled != exporter.CountOf(traces...) {
		t.Errorf("%v: %+v", err, e.Stats())
	}
	back()
	e = start(t, spooled(dir, s.address))
	settled(t, e)
	s.mustHave(t, traces)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSuccessor: two exporters with the same spool, of which the earlier one ends while the
// later one takes traces already, lose nothing and send nothing twice.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, back := absence(t)
	traces := pings(200)
	first := start(t, spooled(dir, s.address))
	export(t, first, traces[:100])
	var log logBuffer
	o := spooled(dir, s.address)
	o.Logger = log.logger()
	second := start(t, o)
	export(t, second, traces[100:])
	ended := make(chan error, 1)
	go func() { ended <- second.Shutdown(t.Context()) }() // waits for the first
	if err := first.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	back()
	third := start(t, spooled(dir, s.address))
	settled(t, third)
	s.mustHave(t, traces)
	if err := third.Shutdown(t.Context()); err != nil || strings.Contains(log.String(), "level=WARN msg=\"the spool") {
		t.Errorf("%v\n%s", err, log.String())
	}
}
