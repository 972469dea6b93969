// SPDX-License-Identifier: Apache-2.0

// Package otlphttp sends traces to an OTLP endpoint over HTTP, as protobuf.
//
// It speaks HTTP with the standard library and not with OpenTelemetry's otlptracehttp: that
// client takes messages, which it would encode once more and differently from what lies in a
// spool, and keeps to itself what an endpoint says about when to come back. What would be left
// of it is the reading of the OTEL_EXPORTER_OTLP_* variables. All but the request itself is package
// delivery's, as for gRPC.
package otlphttp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/batch"
	"github.com/dwelltrace/dwell/exporter/internal/delivery"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Options of an exporter. The zero value sends to where the environment says, or to
// http://localhost:4318/v1/traces.
type Options struct {
	// Endpoint is http://host:port, https://host:port or host:port, and wins over the
	// environment. If it has a path, that is where requests go, otherwise to /v1/traces.
	// Without a scheme it is plain text, unless the environment names a certificate, and the port
	// defaults to 4318.
	Endpoint string
	// Source is what messages call the place where Endpoint was set, a flag or a setting;
	// default --otlp-endpoint.
	Source string
	// Headers are sent with every request, in place of those of
	// OTEL_EXPORTER_OTLP_HEADERS if there are any.
	Headers map[string]string
	// RenewHeaders, if set, returns them again: it is asked when the endpoint denies access.
	RenewHeaders func() (map[string]string, error)
	// TLS is used if the endpoint is to be reached over TLS; nil leaves it to the
	// environment.
	TLS *tls.Config
	// Private keeps the variables OTEL_EXPORTER_OTLP_* from applying: they may be the
	// credentials of somebody else. Endpoint must be set.
	Private bool
	// Compression is that of requests.
	Compression exporter.Compression
	OTLP        otlp.Options
	Queue       exporter.Queue
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
	client   *client
	delivery *delivery.Exporter
}

var _ exporter.Exporter = (*Exporter)(nil)

// New makes an exporter that connects when there is something to send; use [Exporter.Check] to
// learn early whether the endpoint answers. The error is about the form of the endpoint or the
// settings of the environment.
func New(o Options) (*Exporter, error) {
	env := environment{}
	if !o.Private {
		env = osEnvironment()
	}
	to, err := resolve(o.Endpoint, o.Source, env)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		if o.Timeout, err = env.timeout(); err != nil {
			return nil, err
		}
	}
	send := delivery.Options{
		Display: to.Display, OTLP: o.OTLP, Queue: o.Queue, Spool: o.Spool,
		Backoff: batch.Backoff(o.Backoff), Timeout: o.Timeout, Logger: o.Logger,
	}.WithDefaults()
	o.Timeout, o.Queue = send.Timeout, send.Queue
	c, err := newClient(to, o, env)
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

// Shutdown sends what is queued until ctx is done, closes the connections, and returns an
// error if any trace since the start was not delivered. What could not be sent and is in the
// spool is not an error: it is sent when the spool is opened again.
func (e *Exporter) Shutdown(ctx context.Context) error { return e.delivery.Shutdown(ctx) }
