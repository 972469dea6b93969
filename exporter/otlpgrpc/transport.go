// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"google.golang.org/grpc/credentials"

	"github.com/dwelltrace/dwell/exporter/internal/endpoint"
)

// transport makes the client's options of TLS and of whose headers count. Left to itself, the
// client would use TLS for an endpoint that says http://, too. If there are headers, they are
// given with each request, because they may change, and those of the environment are not
// meant. Nor are they where connections are shared: they may be credentials.
func (o Options) transport(to endpoint.Endpoint) []otlptracegrpc.Option {
	var opts []otlptracegrpc.Option
	if o.TLS != nil && !to.Plain() {
		opts = append(opts, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(o.TLS)))
	}
	if len(o.Headers) > 0 || o.Pool != nil {
		opts = append(opts, otlptracegrpc.WithHeaders(nil))
	}
	return opts
}
