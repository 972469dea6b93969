// SPDX-License-Identifier: Apache-2.0

package otlpmetrics

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// overHTTP reports whether metrics go over HTTP.
func (o Options) overHTTP() bool {
	protocol := o.Protocol
	if protocol == "" {
		protocol, _ = endpoint.Metrics.Variable("PROTOCOL")
	}
	return protocol == endpoint.ProtocolHTTP
}

// resolve reads the endpoint.
func (o Options) resolve() (endpoint.Endpoint, error) {
	if !o.overHTTP() {
		return endpoint.Metrics.Resolve(o.Endpoint, o.Source)
	}
	set := endpoint.Explicit{Text: o.Endpoint, Source: o.Source}
	return endpoint.Metrics.ResolveHTTP(set, endpoint.Metrics.Variable, endpoint.Metrics.WantsTLS())
}

// client makes what sends. With TLS settings it would use TLS for an endpoint that says
// http://, too.
func (o Options) client(to endpoint.Endpoint) (sdkmetric.Exporter, error) {
	if o.overHTTP() {
		return otlpmetrichttp.New(context.Background(), o.http(to)...)
	}
	return otlpmetricgrpc.New(context.Background(), o.grpc(to)...)
}

func (o Options) grpc(to endpoint.Endpoint) []otlpmetricgrpc.Option {
	var opts []otlpmetricgrpc.Option
	if to.URL != "" {
		opts = append(opts, otlpmetricgrpc.WithEndpointURL(to.URL))
	}
	if o.TLS != nil && !to.Plain() {
		opts = append(opts, otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(o.TLS)))
	}
	if len(o.Headers) > 0 {
		opts = append(opts, otlpmetricgrpc.WithHeaders(o.Headers))
	}
	if o.Timeout > 0 {
		opts = append(opts, otlpmetricgrpc.WithTimeout(o.Timeout))
	}
	switch o.Compression {
	case exporter.Gzip:
		opts = append(opts, otlpmetricgrpc.WithCompressor(gzip.Name))
	case exporter.Uncompressed:
		opts = append(opts, otlpmetricgrpc.WithDialOption(grpc.WithDefaultCallOptions(grpc.UseCompressor(encoding.Identity))))
	}
	return opts
}

func (o Options) http(to endpoint.Endpoint) []otlpmetrichttp.Option {
	opts := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(to.URL)}
	if o.TLS != nil && !to.Plain() {
		opts = append(opts, otlpmetrichttp.WithTLSClientConfig(o.TLS))
	}
	if len(o.Headers) > 0 {
		opts = append(opts, otlpmetrichttp.WithHeaders(o.Headers))
	}
	if o.Timeout > 0 {
		opts = append(opts, otlpmetrichttp.WithTimeout(o.Timeout))
	}
	switch o.Compression {
	case exporter.Gzip:
		opts = append(opts, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	case exporter.Uncompressed:
		opts = append(opts, otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression))
	}
	return opts
}
