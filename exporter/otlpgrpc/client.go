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
	if e.options.Pool != nil {
		e.link.lease = e.options.Pool.lease(e.endpoint, e.options.TLS, sendOption(), e.reconnectOption())
	}
	e.link.make = func() (otlptrace.Client, error) { return e.startClient(retry) }
	var err error
	if e.link.client, err = e.link.make(); err != nil {
		e.link.leave()
		return fmt.Errorf("OTLP endpoint %s: %w", e.endpoint.Display, err)
	}
	return nil
}

// startClient makes a client that is ready, with a connection of its own or a new one of the
// pool.
func (e *Exporter) startClient(retry otlptracegrpc.RetryConfig) (otlptrace.Client, error) {
	var shared []otlptracegrpc.Option
	if e.link.lease != nil {
		if err := e.link.lease.renew(); err != nil {
			return nil, err
		}
		shared = append(shared, otlptracegrpc.WithGRPCConn(e.link.lease.conn.ClientConn))
	}
	client := e.newClient(retry, shared...)
	return client, client.Start(context.Background())
}

func (e *Exporter) newClient(retry otlptracegrpc.RetryConfig, shared ...otlptracegrpc.Option) otlptrace.Client {
	opts := []otlptracegrpc.Option{
		otlptracegrpc.WithRetry(retry),
		otlptracegrpc.WithDialOption(sendOption(), e.reconnectOption()),
	}
	opts = append(opts, shared...)
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
