// SPDX-License-Identifier: Apache-2.0

package exporter

// Compression is how requests to an endpoint are compressed.
type Compression string

// The compressions.
const (
	// EnvironmentCompression is the one that OTEL_EXPORTER_OTLP_TRACES_COMPRESSION or
	// OTEL_EXPORTER_OTLP_COMPRESSION names, or none.
	EnvironmentCompression Compression = ""
	Gzip                   Compression = "gzip"
	Uncompressed           Compression = "none"
)
