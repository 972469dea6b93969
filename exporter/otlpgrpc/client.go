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
	"google.golang.org/grpc/metadata"

	"github.com/dwelltrace/dwell/exporter/internal/delivery"
	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// client is the transport: OpenTelemetry's client, and what it leaves to do.
type client struct {
	endpoint endpoint.Endpoint
	options  Options
	lease    *lease // nil if the connection is our own
	link     link
	headers  headers
}

var _ delivery.Transport = (*client)(nil)

func connect(to endpoint.Endpoint, o Options) (*client, error) {
	c := &client{endpoint: to, options: o}
	c.headers.set(o.Headers)
	if o.Pool != nil {
		c.lease = o.Pool.lease(to, o.TLS, sendOption(), c.reconnectOption())
	}
	c.link.make = c.start
	var err error
	if c.link.current, err = c.start(); err != nil {
		return nil, fmt.Errorf("OTLP endpoint %s: %w", to.Display, err)
	}
	return c, nil
}

// start makes a client that is ready, with a connection of its own or another one of the
// pool.
func (c *client) start() (*station, error) {
	s := &station{}
	var shared []otlptracegrpc.Option
	if c.lease != nil {
		conn, err := c.lease.renew()
		if err != nil {
			return nil, err
		}
		s.leave = func() { c.lease.release(conn) }
		shared = append(shared, otlptracegrpc.WithGRPCConn(conn.ClientConn))
	}
	s.Client = c.newClient(shared...)
	if err := s.Start(context.Background()); err != nil {
		if s.leave != nil {
			s.leave()
		}
		return nil, err
	}
	return s, nil
}

// newClient makes a client that tries once: the other tries are package delivery's.
func (c *client) newClient(shared ...otlptracegrpc.Option) otlptrace.Client {
	opts := []otlptracegrpc.Option{
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
		otlptracegrpc.WithDialOption(sendOption(), c.reconnectOption()),
	}
	opts = append(opts, shared...)
	if c.endpoint.URL != "" {
		opts = append(opts, otlptracegrpc.WithEndpointURL(c.endpoint.URL))
	}
	if c.options.Timeout > 0 {
		opts = append(opts, otlptracegrpc.WithTimeout(c.options.Timeout))
	}
	return otlptracegrpc.NewClient(append(opts, c.options.transport(c.endpoint)...)...)
}

// reconnectOption keeps gRPC from waiting longer before it connects again than we wait
// before a try: its own limit is two minutes.
func (c *client) reconnectOption() grpc.DialOption {
	config := backoff.DefaultConfig
	config.BaseDelay = min(config.BaseDelay, c.options.Backoff.First)
	config.MaxDelay = c.options.Backoff.Max
	return grpc.WithConnectParams(grpc.ConnectParams{Backoff: config, MinConnectTimeout: minConnect})
}

// minConnect is how long gRPC gives one attempt to connect, its own default.
const minConnect = 20 * time.Second

// Send implements [delivery.Transport]. The client takes only messages, which it would encode
// once more, and differently from what lies in a spool; so it is given an empty one, which
// the interceptor of sendOption replaces. A partial success is an error, too.
func (c *client) Send(ctx context.Context, payload []byte) delivery.Answer {
	r := &encodedRequest{payload: payload, options: compressed(c.options.Compression)}
	s := c.link.enter()
	err := s.UploadTraces(context.WithValue(c.withHeaders(ctx), requestKey{}, r), nil)
	c.link.exit(s, err)
	return answer(r, err)
}

func (c *client) withHeaders(ctx context.Context) context.Context {
	if h := c.headers.get(); len(h) > 0 {
		return metadata.NewOutgoingContext(ctx, metadata.New(h))
	}
	return ctx
}

// Renew implements [delivery.Transport].
func (c *client) Renew() error {
	if c.options.RenewHeaders == nil {
		return nil
	}
	h, err := c.options.RenewHeaders()
	if err == nil {
		c.headers.set(h)
	}
	return err
}

// Close implements [delivery.Transport].
func (c *client) Close(ctx context.Context) error { return c.link.stop(ctx) }
