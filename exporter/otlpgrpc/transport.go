// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import (
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"google.golang.org/grpc/credentials"
)

// transport makes the client's options of Headers and TLS. Left to itself, the client
// would use TLS for an endpoint that says http://, too.
func (o Options) transport(url string) []otlptracegrpc.Option {
	var opts []otlptracegrpc.Option
	if o.TLS != nil && !strings.HasPrefix(url, "http://") {
		opts = append(opts, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(o.TLS)))
	}
	if len(o.Headers) > 0 {
		opts = append(opts, otlptracegrpc.WithHeaders(o.Headers))
	}
	return opts
}
