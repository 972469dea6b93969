// SPDX-License-Identifier: Apache-2.0

// Package delivery brings traces to an OTLP endpoint, by whatever protocol: it queues,
// batches, keeps on disk what cannot be sent, sends it again, and tells what is wrong. A
// protocol is a [Transport], which sends one request once and says which kind of fault
// there was.
//
// What is done about a fault, with a spool:
//
//   - One that passes is tried again for as long as it takes, as the protocol demands
//     (https://opentelemetry.io/docs/specs/otlp/#failures). An endpoint that asks to be left
//     alone is, for five minutes at most and with some jitter, and a batch that fails again
//     and again goes behind the others after eight tries.
//   - Where access is denied, credentials are read again, and tries are few.
//   - Too much, without a word about when it will be less, is tried for Options.Patience.
//   - A message that is too large is sent in halves, down to single traces.
//
// Without a spool, all of that is bounded by Options.Timeout. Several requests are under way
// at a time, so that a long round trip does not limit how much is sent. Order is therefore
// what is tried to keep and not what is promised.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/notice"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Options of an exporter.
type Options struct {
	// Display is the endpoint for messages: host and port.
	Display string
	OTLP    otlp.Options
	Queue   exporter.Queue
	// Spool, if it has a directory, is where batches go that cannot be sent now.
	Spool exporter.Spool
	// Backoff is the time between two tries of a batch; default from 500 ms to 5 s. Where
	// access is denied, it goes on to twelve times as much.
	Backoff batch.Backoff
	// Patience is how long a batch is tried that is refused as too much, if there is a
	// spool; default two minutes.
	Patience time.Duration
	// Timeout bounds the sending of one batch with all its tries, if there is no spool.
	Timeout time.Duration
	// Logger gets one record when a bad state begins and one when it ends; nil discards.
	Logger *slog.Logger
}

// WithDefaults returns o with the defaults filled in.
func (o Options) WithDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Queue = o.Queue.WithDefaults()
	if o.Backoff.First <= 0 {
		o.Backoff.First = 500 * time.Millisecond
	}
	if o.Backoff.Max <= 0 {
		o.Backoff.Max = max(5*time.Second, o.Backoff.First)
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// DefaultTimeout is OpenTelemetry's.
const DefaultTimeout = 10 * time.Second

// slower is how much longer than others tries wait that are denied.
const slower = 12

// Exporter sends traces by a transport.
type Exporter struct {
	options   Options
	log       *slog.Logger
	transport Transport
	batcher   *batch.Batcher
	spool     *spool.Spool // nil if there is none

	// What was logged as a bad state and is not yet well again.
	failing, denied, unread, rejecting, large notice.State
	overflow                                  *batch.Overflow

	stop sync.Once

	mu sync.Mutex
	// lastErr is what was last said to be wrong.
	lastErr string
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter. It closes the transport at the end. A spool that cannot be used is
// no error: it is used from when it can be, and until then batches wait in memory.
func New(o Options, t Transport) *Exporter {
	o = o.WithDefaults()
	e := &Exporter{options: o, log: o.Logger.With("endpoint", o.Display), transport: t}
	e.overflow = batch.NewOverflow(e.log, o.Queue)
	if !o.Spool.Enabled() {
		e.batcher = batch.NewRetrying(o.Queue, e.sendOptions())
		return e
	}
	e.spool = spool.OpenAnyhow(spool.Options{Spool: o.Spool, Logger: e.log})
	queue, send := o.Queue, e.sendOptions()
	send.Spool = e.spool
	most := o.Spool.WithDefaults().MaxBytes
	queue.BatchSpans = min(queue.BatchSpans, max(int(most/bytesPerBatchSpan), 1))
	// What is under way may take a quarter of the spool.
	send.Senders = min(send.Senders, max(int(most/4/(int64(queue.BatchSpans)*bytesPerSpan)), 1))
	e.batcher = batch.NewSpooled(queue, send)
	return e
}

// A span takes less than half a kilobyte. Batches in a small spool are small: there should be
// room for eight.
const (
	bytesPerSpan      = 512
	bytesPerBatchSpan = 8 * bytesPerSpan
)

func (e *Exporter) sendOptions() batch.SendOptions {
	o := &e.options
	return batch.SendOptions{
		NewEncoder: func() batch.Encoder { return otlp.NewEncoder(o.OTLP).Append },
		Try:        e.try, Halve: halve, Senders: o.Queue.Senders,
		Backoff: o.Backoff, Slow: batch.Backoff{First: o.Backoff.Max, Max: slower * o.Backoff.Max},
		Patience: o.Patience, Timeout: o.Timeout,
	}
}

// Export implements [exporter.Exporter].
func (e *Exporter) Export(ctx context.Context, traces []*trace.Trace) error {
	err := e.batcher.Export(ctx, traces)
	e.overflow.Note(err, e.Stats)
	return err
}

func (e *Exporter) spooled() bool { return e.spool != nil }

// Stats implements [exporter.Exporter].
func (e *Exporter) Stats() exporter.Stats {
	if e.spool != nil {
		return e.spool.Stats() // what was recovered is on its way before there is a batcher
	}
	return e.batcher.Stats()
}

// Shutdown implements [exporter.Exporter]. What could not be sent and is in the spool is not
// an error: it is sent when the spool is opened again.
func (e *Exporter) Shutdown(ctx context.Context) error {
	ended := e.batcher.Shutdown(ctx)
	var err error
	e.stop.Do(func() {
		err = e.transport.Close(context.WithoutCancel(ctx)) // nothing is being sent any more
		if e.spool != nil && ended {
			err = errors.Join(err, e.closeSpool())
		}
	})
	if lost := e.Stats().LostString(); lost != "" {
		return fmt.Errorf("not all traces reached the OTLP endpoint %s: %s%s", e.options.Display, lost, e.because())
	}
	return err
}

func (e *Exporter) closeSpool() error {
	if left := e.Stats().Spooled; left != (exporter.Count{}) {
		e.log.Info("unsent traces stay in the spool and will be sent after the next start", "spool", e.options.Spool.Dir, "waiting", left.String())
	}
	return e.spool.Close()
}

func (e *Exporter) because() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lastErr == "" {
		return ""
	}
	return "; the last error was: " + e.lastErr
}
