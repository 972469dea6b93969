// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

func (e *Exporter) connect(retry otlptracegrpc.RetryConfig) error {
	e.link.make = func() otlptrace.Client { return e.newClient(retry) }
	e.link.client = e.link.make()
	if err := e.link.client.Start(context.Background()); err != nil {
		return fmt.Errorf("OTLP endpoint %s: %w", e.endpoint.Display, err)
	}
	return nil
}

func (e *Exporter) newClient(retry otlptracegrpc.RetryConfig) otlptrace.Client {
	opts := []otlptracegrpc.Option{
		otlptracegrpc.WithRetry(retry),
		otlptracegrpc.WithDialOption(sendOption(), e.reconnectOption()),
	}
	if e.endpoint.URL != "" {
		opts = append(opts, otlptracegrpc.WithEndpointURL(e.endpoint.URL))
	}
	if e.options.Timeout > 0 {
		opts = append(opts, otlptracegrpc.WithTimeout(e.options.Timeout))
	}
	return otlptracegrpc.NewClient(append(opts, e.options.transport(e.endpoint)...)...)
}

// reconnectOption keeps gRPC from waiting longer before it connects again than we wait
// before a try: its own limit is two minutes.
func (e *Exporter) reconnectOption() grpc.DialOption {
	config := backoff.DefaultConfig
	config.BaseDelay = min(config.BaseDelay, e.options.Backoff.First)
	config.MaxDelay = e.options.Backoff.Max
	return grpc.WithConnectParams(grpc.ConnectParams{Backoff: config, MinConnectTimeout: minConnect})
}

// minConnect is how long gRPC gives one attempt to connect, its own default.
const minConnect = 20 * time.Second
