// SPDX-License-Identifier: Apache-2.0

package otlpfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpfile"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// appending returns options of a file that is appended to, a trace in each write.
func appending(path string) otlpfile.Options {
	return otlpfile.Options{Path: path, Append: true, Queue: exporter.Queue{BatchSpans: 1}}
}

func open(t *testing.T, o otlpfile.Options) *otlpfile.Exporter {
	t.Helper()
	e, err := otlpfile.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// put exports the traces with these numbers, and waits until they are written.
func put(t *testing.T, e *otlpfile.Exporter, first, n int) {
	t.Helper()
	before := e.Stats().Sent.Traces
	var traces []*trace.Trace
	for i := range n {
		traces = append(traces, tracetest.Complete(uint16(first+i)))
	}
	if err := e.Export(t.Context(), traces); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for ; e.Stats().Sent.Traces < before+int64(n); <-ticker.C {
		if e.Stats().TotalLost() != (exporter.Count{}) {
			t.Fatalf("%+v", e.Stats())
		}
	}
}

func end(t *testing.T, e *otlpfile.Exporter) {
	t.Helper()
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// mustHold fails the test unless the files hold the traces with these numbers and no others,
// each in one whole line.
func mustHold(t *testing.T, first, n int, paths ...string) {
	t.Helper()
	got := map[string]int{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range bytes.Lines(text) {
			var one struct {
				ResourceSpans []struct {
					ScopeSpans []struct{ Spans []struct{ TraceID string } }
				}
			}
			if err := json.Unmarshal(line, &one); err != nil || len(one.ResourceSpans) == 0 || line[len(line)-1] != '\n' {
				t.Errorf("%s: %v in %.80q", path, err, line)
				continue
			}
			got[one.ResourceSpans[0].ScopeSpans[0].Spans[0].TraceID]++
		}
	}
	for i := range n {
		id := tracetest.Complete(uint16(first + i)).ID.String()
		if got[id] != 1 {
			t.Errorf("trace %d is there %d times", first+i, got[id])
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("there are %d others", len(got))
	}
}

// A file is of all runs, one after the other.
func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	for run := range 3 {
		e := open(t, appending(path))
		put(t, e, 10*run, 10)
		end(t, e)
	}
	mustHold(t, 0, 30, path)
}

// What a process that was killed has begun to write is removed; what is not ours is not.
func TestAppendBehindAnUnfinishedLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "traces")
	e := open(t, appending(path))
	put(t, e, 0, 3)
	end(t, e)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for _, n := range []int{1, 5, len(lines[2]) - 1} {
		torn := bytes.Join([][]byte{lines[0], lines[1], lines[2][:n]}, nil)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		e = open(t, appending(path))
		put(t, e, 2, 2)
		end(t, e)
		mustHold(t, 0, 4, path)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	end(t, open(t, appending(other)))
	if text, err := os.ReadFile(other); err != nil || string(text) != "what was there\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// logrotate(8) renames the file and tells us; nothing is lost, and nothing is written to the
// renamed one afterwards.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	e := open(t, appending(path))
	put(t, e, 0, 10)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	put(t, e, 10, 10)
	e.Reopen()
	put(t, e, 20, 10)
	end(t, e)
	mustHold(t, 0, 20, path+".old")
	mustHold(t, 20, 10, path)
}

// A file that cannot be opened again is written to as before, which is logged once.
func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := appending(filepath.Join(dir, "traces"))
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	e := open(t, o)
	put(t, e, 0, 5)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		e.Reopen()
		put(t, e, 5+i, 1)
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	end(t, e)
	mustHold(t, 0, 8, o.Path)
	if n := strings.Count(log.String(), "cannot be opened anew"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}

// copytruncate copies the file and empties it: what is written next is at its beginning, and
// not behind a hole as long as what was there.
func TestCopyTruncate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	e := open(t, appending(path))
	put(t, e, 0, 10)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".1", text, 0o600), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	put(t, e, 10, 10)
	end(t, e)
	mustHold(t, 0, 10, path+".1")
	mustHold(t, 10, 10, path)
}

// A file gets another name before it is longer than it may be, as do those before it; the
// oldest makes room.
func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	e := open(t, appending(path))
	put(t, e, 0, 1)
	end(t, e)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	o := appending(path)
	o.Rotate = otlpfile.Rotation{MaxBytes: 4*info.Size() + info.Size()/2, Keep: 3} // four lines
	e = open(t, o)
	put(t, e, 1, 22)
	end(t, e)
	mustHold(t, 20, 3, path)
	for i, first := range []int{16, 12, 8} {
		mustHold(t, first, 4, path+"."+string(rune('1'+i)))
	}
	if _, err := os.Stat(path + ".4"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("more files than are to be kept: %v", err)
	}
}

// Where a file cannot be renamed, it gets longer and nothing is lost.
func TestRotateFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traces")
	if err := os.MkdirAll(filepath.Join(path+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := appending(path)
	o.Rotate, o.Logger = otlpfile.Rotation{MaxBytes: 1}, slog.New(slog.NewTextHandler(&log, nil))
	e := open(t, o)
	put(t, e, 0, 10)
	end(t, e)
	mustHold(t, 0, 10, path)
	if n := strings.Count(log.String(), "cannot be rotated"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
}
