// SPDX-License-Identifier: Apache-2.0

package otlpfile_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/check/disktest"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// write exports the traces to a new file and returns its path.
func write(t testing.TB, traces []*trace.Trace) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "traces.jsonl")
	e, err := otlpfile.New(otlpfile.Options{Path: path, OTLP: otlp.Options{Version: "1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return path
}

// TestLine holds the encoding's fine points: hexadecimal IDs, 64-bit integers as
// strings, enums as numbers.
func TestLine(t *testing.T) {
	ping := tracetest.Dropped(1)
	text, err := os.ReadFile(write(t, []*trace.Trace{ping}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"traceId":"` + ping.ID.String() + `"`,
		`"spanId":"` + ping.Root().ID.String() + `"`,
		`"parentSpanId":"` + ping.Root().ID.String() + `"`,
		`"startTimeUnixNano":"1767225601123456789"`,
		`"kind":1`,
		`"code":2`,
		`{"key":"dwell.icmp.seq","value":{"intValue":"1"}}`,
		`"flags":259`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if n := bytes.Count(text, []byte("\n")); n != 1 || text[len(text)-1] != '\n' {
		t.Errorf("%d newlines, want one at the end", n)
	}
}

// A parent on another host is written as such, in what a Collector reads, too.
func TestRemoteParent(t *testing.T) {
	ping := tracetest.Elsewhere(3)
	text, err := os.ReadFile(write(t, []*trace.Trace{ping}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"parentSpanId":"` + ping.Remote.String() + `"`; strings.Count(string(text), want) != 1 {
		t.Errorf("%s is not there once in\n%s", want, text)
	}
	if n := strings.Count(string(text), `"flags":771`); n != 1 { // 0x303: sampled, random, and the parent is remote
		t.Errorf("%d spans have a remote parent, want the root", n)
	}
	td, err := (&ptrace.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalTraces(text)
	if err != nil {
		t.Fatal(err)
	}
	root := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	if got := root.ParentSpanID().String(); got != ping.Remote.String() || root.Flags() != 0x303 {
		t.Errorf("read as a child of %q with flags %#x", got, root.Flags())
	}
}

func TestLinesAreReadableAndShort(t *testing.T) {
	traces := make([]*trace.Trace, 100)
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
	}
	f, err := os.Open(write(t, traces))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const receiverLimit = 1 << 20 // max_log_size of the Collector's file receivers
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, receiverLimit)
	spans, n := 0, 0
	for ; lines.Scan(); n++ {
		td, err := (&ptrace.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalTraces(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		spans += td.SpanCount()
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	if n != len(traces) {
		t.Errorf("%d lines, want one for each of %d traces", n, len(traces))
	}
	if want := exporter.CountOf(traces...).Spans; int64(spans) != want {
		t.Errorf("%d spans in the file, want %d", spans, want)
	}
}

func TestFullDisk(t *testing.T) {
	var log bytes.Buffer
	e, err := otlpfile.New(otlpfile.Options{
		Path: "/dev/full", Queue: exporter.Queue{BatchSpans: 1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	traces := tracetest.All()
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	err = e.Shutdown(t.Context())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("Shutdown: %v", err)
	}
	want := exporter.Stats{Lost: map[exporter.Cause]exporter.Count{exporter.CauseWrite: exporter.CountOf(traces...)}}
	if diff := cmp.Diff(want, e.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines logged, want one:\n%s", n, &log)
	}
}

// TestOnlyWholeLines fills a real file system, in which a write that does not fit
// is cut off in the middle.
func TestOnlyWholeLines(t *testing.T) {
	path := filepath.Join(disktest.Small(t, "64k"), "traces.jsonl")
	e, err := otlpfile.New(otlpfile.Options{Path: path, Queue: exporter.Queue{BatchSpans: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var traces []*trace.Trace
	for i := range uint16(20) {
		traces = append(traces, tracetest.Complete(i))
	}
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Shutdown: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stats := e.Stats()
	lines := int64(bytes.Count(text, []byte("\n")))
	if lines == 0 || lines != stats.Sent.Traces || text[len(text)-1] != '\n' {
		t.Errorf("%d whole lines, %v sent, the file ends in %q", lines, stats.Sent, text[len(text)-1])
	}
	if got := stats.Sent.Plus(stats.TotalLost()); got != exporter.CountOf(traces...) {
		t.Errorf("%v accounted for, want %v", got, exporter.CountOf(traces...))
	}
}

// TestShutdownFromAReaderThatStopped: a pipe that nobody empties holds nobody up.
func TestShutdownFromAReaderThatStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := otlpfile.New(otlpfile.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	var traces []*trace.Trace
	for i := range uint16(50) {
		traces = append(traces, tracetest.Complete(i))
	}
	if err := e.Export(t.Context(), traces); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := e.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Shutdown: %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

// fullPipe returns the path of a pipe that takes nothing more until it is read from.
func fullPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) }) // it has kept what is in the pipe
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return path
}

// That a full queue loses traces is logged once, and that it has room again.
func TestOverflowIsLogged(t *testing.T) {
	path := fullPipe(t)
	var log bytes.Buffer // written to by Export alone
	e, err := otlpfile.New(otlpfile.Options{
		Path: path, Queue: exporter.Queue{Spans: 100, BatchSpans: 1, Wait: time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	export := func() { _ = e.Export(t.Context(), []*trace.Trace{tracetest.Complete(1)}) } // most find no room
	for range 20 {
		export()
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") ||
		!strings.Contains(got, "the queue is full") || !strings.Contains(got, "path="+path) {
		t.Fatalf("logged %q, want one warning of the full queue", got)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, reader) // until reader is closed
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "the queue has room again"); export() {
		if time.Now().After(deadline) {
			t.Fatalf("logged %q a minute later", &log)
		}
	}
	if err := e.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "queue_full") {
		t.Errorf("Shutdown: %v", err)
	}
	reader.Close()
	<-read
}

func TestNewReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(path, []byte("what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := otlpfile.New(otlpfile.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestNewErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                                  "is a directory",
		filepath.Join(dir, "missing", "f"):   "no such file or directory",
		filepath.Join("/dev/null", "traces"): "not a directory",
	} {
		_, err := otlpfile.New(otlpfile.Options{Path: path})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("New(%s): %v, want %s", path, err, want)
		}
	}
}

func BenchmarkExport(b *testing.B) {
	const pings = 1000
	traces := make([]*trace.Trace, pings)
	for i := range traces {
		traces[i] = tracetest.Complete(uint16(i))
	}
	spans := exporter.CountOf(traces...).Spans
	for b.Loop() {
		write(b, traces)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
}
