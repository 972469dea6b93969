// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"fmt"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// Encoder makes lines of OTLP/JSON: of what package otlp encodes, so that there is one
// description of a span. protojson will not do: OTLP's JSON differs from protobuf's in
// the IDs, which are hexadecimal, and in the enums, which are numbers. The Collector's
// encoder has types of its own, and to make those took ten times as long as the rest.
type Encoder struct {
	otlp   *otlp.Encoder
	schema schema
	buf    []byte
}

// NewEncoder returns an encoder for traces of these options. It may not be used concurrently.
func NewEncoder(o otlp.Options) *Encoder {
	return &Encoder{otlp: otlp.NewEncoder(o), schema: tracesData()}
}

// Append appends one line with its newline.
func (e *Encoder) Append(b []byte, traces []*trace.Trace) ([]byte, error) {
	e.buf = e.otlp.Append(e.buf[:0], traces)
	b, err := e.schema.appendJSON(b, e.buf)
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	return append(b, '\n'), nil
}
