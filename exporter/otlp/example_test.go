// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"fmt"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// The bytes are the body of an OTLP request, for gRPC or for HTTP.
func Example() {
	start := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	t := &trace.Trace{ID: trace.ID{15: 1}, Outcome: trace.Complete}
	t.Add(trace.NoParent, trace.Span{
		ID: trace.SpanID{7: 1}, Kind: trace.KindPing,
		NetNS: &trace.NetNS{Name: "guest"}, Start: start, End: start + 14_000,
	})
	encoder := otlp.NewEncoder(otlp.Options{})
	body := encoder.Append(nil, []*trace.Trace{t})

	// This is what the receiver does with it.
	var request coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		fmt.Println(err)
		return
	}
	for _, service := range request.GetResourceSpans() {
		span := service.GetScopeSpans()[0].GetSpans()[0]
		fmt.Println("service:", service.GetResource().GetAttributes()[0].GetValue().GetStringValue())
		fmt.Printf("trace:   %x\n", span.GetTraceId())
		fmt.Println("span:   ", span.GetName(), span.GetEndTimeUnixNano()-span.GetStartTimeUnixNano(), "ns")
	}
	// Output:
	// service: guest
	// trace:   00000000000000000000000000000001
	// span:    ping 14000 ns
}
