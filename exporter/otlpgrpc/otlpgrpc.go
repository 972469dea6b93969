// SPDX-License-Identifier: Apache-2.0

// Package otlpgrpc sends traces to an OTLP endpoint over gRPC.
//
// The transport is OpenTelemetry's own otlptracegrpc client, and with it all
// OTEL_EXPORTER_OTLP_* variables, TLS, headers and compression. Only the SDK in front
// of it is left out: see package otlp for why, and package batch for what takes the
// place of its span processor. The client gets each request encoded, see [Exporter.send].
//
// Without a spool the client also does the retries, within Options.Timeout. With one,
// a batch is tried until there is an answer, as the protocol demands
// (https://opentelemetry.io/docs/specs/otlp/#failures, see retryable). An endpoint that
// asks to be left alone (RetryInfo) is, for five minutes at most; and a batch that fails
// retryably again and again goes behind the others after eight tries, so that it does
// not hold them up. Order is therefore what we try to keep and not what we promise.
package otlpgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
	"github.com/dwelltrace/dwell/exporter/internal/notice"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Options of an exporter. The zero value sends to where the environment says, or
// to localhost:4317 without TLS.
type Options struct {
	// Endpoint is host:port, http://host:port or https://host:port and wins over
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which wins over
	// OTEL_EXPORTER_OTLP_ENDPOINT. The port defaults to 4317. Without a scheme it
	// is plain text, unless the environment names a certificate or says
	// OTEL_EXPORTER_OTLP_INSECURE=false.
	Endpoint string
	// Source is what messages call the place where Endpoint was set, a flag or a
	// setting; default --otlp-endpoint.
	Source string
	// Headers are sent with every request, in place of those of
	// OTEL_EXPORTER_OTLP_HEADERS if there are any.
	Headers map[string]string
	// TLS is used if the endpoint is to be reached over TLS; nil leaves it to the
	// environment.
	TLS *tls.Config
	// Pool, if there is one, is where the connection comes from: exporters with the same
	// endpoint and the same TLS share some. Endpoint must say then whether it is TLS, by
	// http:// or https://, and the variables OTEL_EXPORTER_OTLP_* do not apply.
	Pool  *Pool
	OTLP  otlp.Options
	Queue exporter.Queue
	// Spool, if it has a directory, is where batches go that cannot be sent now.
	Spool exporter.Spool
	// Backoff is the time between two tries of a batch, if there is a spool; default
	// from 500 ms to 5 s.
	Backoff Backoff
	// Timeout bounds the sending of one batch; default OTEL_EXPORTER_OTLP_TIMEOUT,
	// or 10 s. Without a spool that includes all retries, after which the batch is
	// lost; with one it is the time for one try, and there are as many as it takes.
	Timeout time.Duration
	// Logger gets one record when sending begins to fail and one when it recovers; nil
	// discards.
	Logger *slog.Logger
}

// Backoff grows by half from First to Max, with jitter.
type Backoff struct{ First, Max time.Duration }

// Exporter sends traces to an OTLP endpoint.
type Exporter struct {
	endpoint endpoint.Endpoint
	options  Options
	log      *slog.Logger
	link     link
	batcher  *batch.Batcher
	spool    *spool.Spool // nil if there is none

	// What was logged as a bad state and is not yet well again.
	failing, rejecting notice.State
	overflow           *batch.Overflow

	stop sync.Once

	mu      sync.Mutex
	lastErr error
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter that connects when there is something to send; use
// [Exporter.Check] to learn early whether the endpoint answers. The error is about
// the form of the endpoint or the settings of the environment.
func New(o Options) (*Exporter, error) {
	if o.Source == "" {
		o.Source = endpointFlag
	}
	ep, err := traces.Resolve(o.Endpoint, o.Source)
	if err != nil {
		return nil, err
	}
	if o.Pool != nil && !strings.Contains(o.Endpoint, "://") {
		return nil, fmt.Errorf("%s: %q does not say whether it is TLS: write http:// or https:// before it", o.Source, o.Endpoint)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Queue = o.Queue.WithDefaults()
	e := &Exporter{endpoint: ep, options: o.withDefaults(), log: o.Logger.With("endpoint", ep.Display)}
	e.overflow = batch.NewOverflow(e.log, o.Queue)
	begin := e.start
	if o.Spool.Enabled() {
		begin = e.startSpooled
	}
	if err := begin(); err != nil {
		return nil, err
	}
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Backoff.First <= 0 {
		o.Backoff.First = 500 * time.Millisecond
	}
	if o.Backoff.Max <= 0 {
		o.Backoff.Max = max(5*time.Second, o.Backoff.First)
	}
	if o.Pool != nil && o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	return o
}

// defaultTimeout is OpenTelemetry's, for where the environment is not asked.
const defaultTimeout = 10 * time.Second

func (e *Exporter) start() error {
	err := e.connect(otlptracegrpc.RetryConfig{
		Enabled:         true,
		InitialInterval: 500 * time.Millisecond,
		MaxInterval:     5 * time.Second,
		MaxElapsedTime:  time.Minute,
	})
	if err != nil {
		return err
	}
	encoder := otlp.NewEncoder(e.options.OTLP)
	var buf []byte
	e.batcher = batch.New(e.options.Queue, func(ctx context.Context, traces []*trace.Trace) batch.Result {
		buf = encoder.Append(buf[:0], traces)
		v := e.upload(ctx, spool.Batch{Payload: buf, Count: exporter.CountOf(traces...)})
		if v.Kept {
			buf = nil
		}
		return v.Result
	})
	return nil
}

// bytesPerBatchSpan keeps batches in a small spool small: a span takes less than half a
// kilobyte, and there should be room for eight batches.
const bytesPerBatchSpan = 8 * 512

func (e *Exporter) startSpooled() error {
	var err error
	if e.spool, err = spool.Open(spool.Options{Spool: e.options.Spool, Logger: e.log}); err != nil {
		return err
	}
	if err := e.connect(otlptracegrpc.RetryConfig{Enabled: false}); err != nil {
		return errors.Join(err, e.spool.Close())
	}
	queue := e.options.Queue
	queue.BatchSpans = min(queue.BatchSpans, max(int(e.options.Spool.WithDefaults().MaxBytes/bytesPerBatchSpan), 1))
	e.batcher = batch.NewSpooled(queue, batch.SpoolOptions{
		Spool:      e.spool,
		NewEncoder: func() batch.Encoder { return otlp.NewEncoder(e.options.OTLP).Append },
		Try:        e.upload,
		Backoff:    batch.Backoff(e.options.Backoff),
	})
	return nil
}

// Export queues the traces. It waits for room in the queue no longer than
// Options.Queue.Wait; traces that find none are dropped whole and counted.
func (e *Exporter) Export(ctx context.Context, traces []*trace.Trace) error {
	err := e.batcher.Export(ctx, traces)
	e.overflow.Note(err, e.Stats)
	return err
}

// Stats returns what became of the traces so far.
func (e *Exporter) Stats() exporter.Stats {
	if e.spool != nil {
		return e.spool.Stats() // what was recovered is on its way before there is a batcher
	}
	return e.batcher.Stats()
}

// Shutdown sends what is queued until ctx is done, closes the connection, and
// returns an error if any trace since the start was not delivered. What could not be sent
// and is in the spool is not an error: it is sent when the spool is opened again.
func (e *Exporter) Shutdown(ctx context.Context) error {
	ended := e.batcher.Shutdown(ctx)
	var err error
	e.stop.Do(func() {
		err = e.link.stop(context.WithoutCancel(ctx)) // nothing is being sent any more
		if e.spool != nil && ended {
			err = errors.Join(err, e.closeSpool())
		}
	})
	if lost := e.Stats().LostString(); lost != "" {
		return fmt.Errorf("not all traces reached the OTLP endpoint %s: %s%s", e.endpoint.Display, lost, e.because())
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
	if e.lastErr == nil {
		return ""
	}
	return "; the last error was: " + reason(e.lastErr)
}
