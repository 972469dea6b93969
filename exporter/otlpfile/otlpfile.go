// SPDX-License-Identifier: Apache-2.0

// Package otlpfile writes traces as lines of OTLP/JSON, the OTLP file format:
// https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
//
// Each line is one TracesData message, and only whole lines stay in the file. The tests
// hold it against the Collector's own reader (go.opentelemetry.io/collector/pdata).
package otlpfile

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/notice"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// writeSpans is how many spans are written at once, some hundred kilobytes.
const writeSpans = 512

// Options of an exporter.
type Options struct {
	// Path of the file, or "-" for standard output. An existing file is replaced, unless
	// Append is set.
	Path string
	// Append writes behind what is in the file.
	Append bool
	// Rotate says when the file gets another name.
	Rotate Rotation
	OTLP   otlp.Options
	Queue  exporter.Queue
	// Logger gets the first error, and a warning when the queue is full; nil discards.
	Logger *slog.Logger
}

// Rotation bounds a file: before it gets longer than MaxBytes, it is renamed by appending .1, and
// that which had this name before gets .2, and so on. A single trace may be longer. The zero
// value is no bound.
type Rotation struct {
	MaxBytes int64
	// Keep is how many older files are kept; at least 1.
	Keep int
}

func (r Rotation) keep() int { return max(r.Keep, 1) }

// Exporter writes traces to a file.
type Exporter struct {
	path     string
	log      *slog.Logger
	encoder  *Encoder
	buf      []byte
	lines    lineWriter
	batcher  *batch.Batcher
	overflow *batch.Overflow

	mu  sync.Mutex
	err error
	// failing is what was logged of it.
	failing notice.State
	// closing closes the file once.
	closing sync.Once
}

var _ exporter.Exporter = (*Exporter)(nil)

// New creates the file, or empties it if it exists, as tcpdump -w does: what is in
// the file afterwards is of one run. With Options.Append it is of all runs. The queue of a file
// waits rather than drops unless Options.Queue.Wait says otherwise: a disk is slow for a moment,
// and not gone.
func New(o Options) (*Exporter, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Queue.Wait == 0 {
		o.Queue.Wait = exporter.Forever
	}
	if o.Queue.BatchSpans == 0 {
		o.Queue.BatchSpans = writeSpans
	}
	e := &Exporter{path: o.Path, log: o.Logger, encoder: NewEncoder(o.OTLP)}
	e.lines.path, e.lines.rotate, e.lines.log = o.Path, o.Rotate, o.Logger
	if err := e.lines.begin(o.Append); err != nil {
		return nil, fmt.Errorf("cannot write the OTLP file: %w (--otlp-file)", err)
	}
	e.overflow = batch.NewOverflow(o.Logger.With("path", o.Path), o.Queue)
	e.batcher = batch.New(o.Queue, e.write)
	return e, nil
}

// Reopen opens the file by its name again, for somebody may have given it another one, as
// logrotate(8) does. It does not wait for what is just being written.
func (e *Exporter) Reopen() { e.lines.reopen() }

// Export queues the traces and waits for room in the queue as Options.Queue says.
func (e *Exporter) Export(ctx context.Context, traces []*trace.Trace) error {
	err := e.batcher.Export(ctx, traces)
	e.overflow.Note(err, e.Stats)
	return err
}

// Stats returns what became of the traces so far; sent is what the operating
// system has taken.
func (e *Exporter) Stats() exporter.Stats { return e.batcher.Stats() }

// Shutdown writes what is queued until ctx is done and closes the file. Its error
// is the first error of all writes.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.batcher.Shutdown(ctx)
	e.closing.Do(func() {
		if err := e.lines.close(); err != nil {
			e.failed(err)
		}
	})
	return e.verdict()
}

// verdict says whether everything was written.
func (e *Exporter) verdict() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	stats := e.Stats()
	lost := stats.LostString()
	switch {
	case e.err != nil && lost != "":
		return fmt.Errorf("OTLP file %s: %w; lost: %s", e.path, e.err, lost)
	case e.err != nil:
		return fmt.Errorf("OTLP file %s: %w", e.path, e.err)
	case lost != "":
		return fmt.Errorf("not all traces were written to the OTLP file %s; lost: %s", e.path, lost)
	case stats.Queued != (exporter.Count{}):
		return fmt.Errorf("not all traces were written to the OTLP file %s: the file is blocked with %s still queued", e.path, stats.Queued)
	}
	return nil
}

// write appends one line for each trace, all of them at once.
func (e *Exporter) write(_ context.Context, traces []*trace.Trace) batch.Result {
	lines, err := e.encode(traces)
	if err == nil {
		err = e.lines.write(lines)
	}
	if err != nil {
		e.failed(err)
		return batch.Result{Lost: exporter.CountOf(traces...), Cause: exporter.CauseWrite}
	}
	if e.failing.Set(false) {
		e.log.Info("writes to the OTLP file recovered", "path", e.path, "lost", e.Stats().LostString())
	}
	return batch.Result{}
}

// encode makes the lines. One trace a line makes the file the same however the traces
// came in batches, and a ping easy to find; it is well below the 1 MiB above which the
// Collector's file receivers split lines (their max_log_size).
func (e *Exporter) encode(traces []*trace.Trace) ([]byte, error) {
	e.buf = e.buf[:0]
	for i := range traces {
		var err error
		if e.buf, err = e.encoder.Append(e.buf, traces[i:i+1]); err != nil {
			return nil, err
		}
	}
	return e.buf, nil
}

// failed keeps the first error and reports it.
func (e *Exporter) failed(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
	if e.failing.Set(true) {
		e.log.Warn("the OTLP file cannot be written; traces are dropped and counted", "path", e.path, "error", err)
	}
}
