// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/otlpgrpc"
	"github.com/dwelltrace/dwell/exporter/otlphttp"
	"github.com/dwelltrace/dwell/internal/config"
)

// protocolOf returns the protocol of the endpoint for all traces, which the environment may
// choose.
func protocolOf(o config.OTLP) config.Protocol {
	if o.Protocol != config.AutoProtocol {
		return o.Protocol
	}
	if named, _ := otlphttp.EnvironmentProtocol(); named == string(config.HTTPProtobuf) {
		return config.HTTPProtobuf
	}
	return config.GRPC
}

// compressionOf returns what an exporter takes.
func compressionOf(c config.Compression) exporter.Compression {
	switch c {
	case config.Gzip:
		return exporter.Gzip
	case config.Uncompressed:
		return exporter.Uncompressed
	}
	return exporter.EnvironmentCompression
}

// checkForm returns what is wrong with the form of an endpoint.
func checkForm(p config.Protocol, to string) error {
	if p == config.HTTPProtobuf {
		return otlphttp.CheckEndpoint(to)
	}
	return otlpgrpc.CheckEndpoint(to)
}

// opener makes an exporter; it is [openOTLP], but for tests.
type opener func(config.Protocol, otlpgrpc.Options) (exporter.Exporter, error)

// openOTLP makes an exporter for either protocol. Connections are pooled over gRPC alone: over
// HTTP, each exporter has its own.
func openOTLP(p config.Protocol, o otlpgrpc.Options) (exporter.Exporter, error) {
	if p != config.HTTPProtobuf {
		return otlpgrpc.New(o)
	}
	return otlphttp.New(otlphttp.Options{
		Endpoint: o.Endpoint, Source: o.Source, Private: o.Pool != nil,
		Headers: o.Headers, RenewHeaders: o.RenewHeaders, TLS: o.TLS,
		Compression: o.Compression, OTLP: o.OTLP, Queue: o.Queue, Spool: o.Spool, Timeout: o.Timeout, Logger: o.Logger,
	})
}
