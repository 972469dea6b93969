// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// encoder makes lines of OTLP/JSON. protojson will not do: OTLP's JSON differs from
// protobuf's in the IDs, which are hexadecimal, and in the enums, which are
// numbers. The detour over protobuf's binary form is the price for the Collector's
// encoder, which has types of its own.
type encoder struct {
	unmarshal ptrace.ProtoUnmarshaler
	marshal   ptrace.JSONMarshaler
	buf       []byte
}

// encode returns one line with its newline.
func (e *encoder) encode(resources []*tracepb.ResourceSpans) ([]byte, error) {
	var err error
	e.buf, err = proto.MarshalOptions{}.MarshalAppend(e.buf[:0], &tracepb.TracesData{ResourceSpans: resources})
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	traces, err := e.unmarshal.UnmarshalTraces(e.buf)
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	line, err := e.marshal.MarshalTraces(traces)
	if err != nil {
		return nil, fmt.Errorf("encoding traces: %w", err)
	}
	return append(line, '\n'), nil
}
