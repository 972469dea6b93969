// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// encoder makes lines of OTLP/JSON. protojson will not do: OTLP's JSON differs from
// protobuf's in the IDs, which are hexadecimal, and in the enums, which are
// numbers. The detour over protobuf's binary form is the price for the Collector's
// encoder, which has types of its own.
type encoder struct {
	otlp      *otlp.Encoder
	unmarshal ptrace.ProtoUnmarshaler
	marshal   ptrace.JSONMarshaler
	buf       []byte
}

// encode returns one line with its newline.
func (e *encoder) encode(traces []*trace.Trace) ([]byte, error) {
	e.buf = e.otlp.Append(e.buf[:0], traces)
	data, err := e.unmarshal.UnmarshalTraces(e.buf)
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	line, err := e.marshal.MarshalTraces(data)
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	return append(line, '\n'), nil
}
