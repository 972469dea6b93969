// SPDX-License-Identifier: Apache-2.0

// Package otlpgrpc sends traces to an OTLP endpoint over gRPC.
//
// The transport is OpenTelemetry's own otlptracegrpc client, and with it all
// OTEL_EXPORTER_OTLP_* variables, TLS, headers and compression. Only the SDK in front
// of it is left out: see package otlp for why, and packages batch and delivery for what takes
// the place of its span processor and of the client's retries. The client gets each request
// encoded, see [client.Send].
package otlpgrpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/delivery"
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
	// RenewHeaders, if set, returns them again: it is asked when the endpoint denies access.
	RenewHeaders func() (map[string]string, error)
	// TLS is used if the endpoint is to be reached over TLS; nil leaves it to the
	// environment.
	TLS *tls.Config
	// Pool, if there is one, is where the connection comes from: exporters with the same
	// endpoint and the same TLS share some. Endpoint must say then whether it is TLS, by
	// http:// or https://, and the variables OTEL_EXPORTER_OTLP_* do not apply.
	Pool *Pool
	// Compression is that of requests.
	Compression exporter.Compression
	OTLP        otlp.Options
	Queue       exporter.Queue
	// Spool, if it has a directory, is where batches go that cannot be sent now.
	Spool exporter.Spool
	// Backoff is the time between two tries of a batch, if there is a spool; default
	// from 500 ms to 5 s.
	Backoff Backoff
	// Patience is how long a batch is kept that is refused as too much, without a word about
	// when it will be less, if there is a spool; default two minutes.
	Patience time.Duration
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
	client   *client
	delivery *delivery.Exporter
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter that connects when there is something to send; use
// [Exporter.Check] to learn early whether the endpoint answers. The error is about
// the form of the endpoint or the settings of the environment.
func New(o Options) (*Exporter, error) {
	if o.Source == "" {
		o.Source = endpointFlag
	}
	to, err := traces.Resolve(o.Endpoint, o.Source)
	if err != nil {
		return nil, err
	}
	if o.Pool != nil && !strings.Contains(o.Endpoint, "://") {
		return nil, fmt.Errorf("%s: %q does not say whether it is TLS: write http:// or https:// before it", o.Source, o.Endpoint)
	}
	if o.Timeout <= 0 {
		o.Timeout = delivery.DefaultTimeout
		if set := traces.Timeout(); set > 0 && o.Pool == nil {
			o.Timeout = set
		}
	}
	send := delivery.Options{
		Display: to.Display, OTLP: o.OTLP, Queue: o.Queue, Spool: o.Spool,
		Backoff: batch.Backoff(o.Backoff), Patience: o.Patience, Timeout: o.Timeout, Logger: o.Logger,
	}.WithDefaults()
	o.Backoff = Backoff(send.Backoff)
	c, err := connect(to, o)
	if err != nil {
		return nil, err
	}
	return &Exporter{client: c, delivery: delivery.New(send, c)}, nil
}

// Export queues the traces. It waits for room in the queue no longer than
// Options.Queue.Wait; traces that find none are dropped whole and counted.
func (e *Exporter) Export(ctx context.Context, traces []*trace.Trace) error {
	return e.delivery.Export(ctx, traces)
}

// Stats returns what became of the traces so far.
func (e *Exporter) Stats() exporter.Stats { return e.delivery.Stats() }

// Shutdown sends what is queued until ctx is done, closes the connection, and
// returns an error if any trace since the start was not delivered. What could not be sent
// and is in the spool is not an error: it is sent when the spool is opened again.
func (e *Exporter) Shutdown(ctx context.Context) error { return e.delivery.Shutdown(ctx) }
