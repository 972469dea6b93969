// SPDX-License-Identifier: Apache-2.0

// Package otlpmetrics sends the metrics of a Prometheus registry over OTLP, under the
// names, units and attribute keys that OpenTelemetry has for them.
//
// Counting is done once, in package metrics, and shown twice: a scrape and a push report
// the same numbers. The conversion is that of OpenTelemetry's Prometheus bridge, and what
// sends is the SDK's periodic reader with the otlpmetricgrpc or the otlpmetrichttp exporter, and
// with that the OTEL_EXPORTER_OTLP_* and OTEL_METRIC_EXPORT_* variables, but for the preferred
// temporality. What is ours is what the bridge cannot know: the names, and trace IDs of
// exemplars as bytes.
//
// Histograms go out with explicit buckets, which every backend takes, or as exponential
// ones if OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION is
// base2_exponential_bucket_histogram. Temporality is cumulative, as in the registry,
// whatever OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE says.
// A push that fails is not repeated later: the next one has the same counters, and
// what was counted meanwhile.
package otlpmetrics

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Options of a Pusher. A Gatherer is needed; what else is empty has a default.
type Options struct {
	// Gatherer is what is pushed; what is not in metrics.Definitions is left out.
	Gatherer prometheus.Gatherer
	// Endpoint is host:port, http://host:port or https://host:port and wins over
	// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, which wins over
	// OTEL_EXPORTER_OTLP_ENDPOINT. It is read as otlpgrpc.Options.Endpoint is.
	Endpoint string
	// Protocol is endpoint.ProtocolGRPC or endpoint.ProtocolHTTP; default that of
	// OTEL_EXPORTER_OTLP_METRICS_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL, or gRPC.
	Protocol string
	// Compression is that of requests.
	Compression exporter.Compression
	// Source is what messages call the place where Endpoint was set; default
	// metrics.otlp.endpoint.
	Source string
	// Headers are sent with every push, in place of those of
	// OTEL_EXPORTER_OTLP_HEADERS if there are any.
	Headers map[string]string
	// TLS is used if the endpoint is to be reached over TLS; nil leaves it to the
	// environment.
	TLS *tls.Config
	// OTLP says what stands on the resource. service.name is "dwell" unless the
	// environment says otherwise.
	OTLP otlp.Options
	// Interval is the time between two pushes; default OTEL_METRIC_EXPORT_INTERVAL,
	// or 1 min.
	Interval time.Duration
	// Timeout bounds one request with all its retries, and a push with many series takes
	// several; default the shorter one of OTEL_METRIC_EXPORT_TIMEOUT, or 30 s, and
	// OTEL_EXPORTER_OTLP_TIMEOUT, or 10 s.
	Timeout time.Duration
	// Logger gets one record when pushing begins to fail and one when it recovers; nil
	// discards.
	Logger *slog.Logger
}

// setting is where an endpoint is set unless Options.Source says otherwise.
const setting = "metrics.otlp.endpoint"

// maxPoints is how many data points a request has at most. A histogram takes 65 bytes
// for each bucket with an exemplar, so 6.5 kB with as many as metrics.MaxBuckets, and
// receivers take 4 MiB by default.
const maxPoints = 500

// Pusher sends metrics to an OTLP endpoint at intervals.
type Pusher struct {
	display  string
	health   *health
	provider *sdkmetric.MeterProvider
}

// CheckEndpoint returns the error that [Start] gives for Options.Endpoint or the endpoint
// of the environment, and connects to nothing.
func CheckEndpoint(explicit, protocol string) error {
	_, err := Options{Endpoint: explicit, Protocol: protocol, Source: setting}.resolve()
	return err
}

// Start begins to push. It connects when there is something to send. The error is about
// the form of the endpoint or the settings of the environment.
func Start(o Options) (*Pusher, error) {
	if o.Source == "" {
		o.Source = setting
	}
	ep, err := o.resolve()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := o.client(ep)
	if err != nil {
		return nil, fmt.Errorf("OTLP endpoint %s: %w", ep.Display, err)
	}
	h := &health{log: o.Logger.With("endpoint", ep.Display)}
	reader := sdkmetric.NewPeriodicReader(checked{client, h}, append(o.schedule(),
		sdkmetric.WithMaxExportBatchSize(maxPoints),
		sdkmetric.WithProducer(newProducer(o, h, exponential(client))))...)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(o.resource()), sdkmetric.WithReader(reader))
	return &Pusher{display: ep.Display, health: h, provider: provider}, nil
}

func (o Options) schedule() []sdkmetric.PeriodicReaderOption {
	var opts []sdkmetric.PeriodicReaderOption
	if o.Interval > 0 {
		opts = append(opts, sdkmetric.WithInterval(o.Interval))
	}
	if o.Timeout > 0 {
		opts = append(opts, sdkmetric.WithTimeout(o.Timeout))
	}
	return opts
}

// Stats returns what became of the pushes. It may be called concurrently.
func (p *Pusher) Stats() Stats { return p.health.stats() }

// Shutdown pushes a last time and ends, soon after ctx is done at the latest. The error
// says why the last push failed.
func (p *Pusher) Shutdown(ctx context.Context) error {
	err := p.provider.Shutdown(ctx)
	if last := p.health.lastError(); last != nil {
		err = last
	}
	switch {
	case errors.Is(err, sdkmetric.ErrReaderShutdown):
		return nil // it is the second time
	case err != nil:
		return fmt.Errorf("the last metrics did not reach the OTLP endpoint %s: %w", p.display, err)
	}
	return nil
}
