// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dwelltrace/dwell/exporter"
	"github.com/dwelltrace/dwell/exporter/internal/spool"
)

// halve cuts a request in two with about half of the spans each; no trace is cut. It reports
// false if there is only one trace in it. It is rare enough for the protobuf library.
func halve(b spool.Batch) (first, second spool.Batch, ok bool) {
	var whole coltracepb.ExportTraceServiceRequest
	if proto.Unmarshal(b.Payload, &whole) != nil {
		return first, second, false
	}
	order, sizes := traceSizes(&whole)
	if len(order) < 2 {
		return first, second, false
	}
	in, spans := map[string]bool{}, int64(0)
	for _, id := range order[:len(order)-1] {
		in[id] = true
		if spans += sizes[id]; spans >= b.Count.Spans/2 {
			break
		}
	}
	first.Count = exporter.Count{Traces: int64(len(in)), Spans: spans}
	second.Count = b.Count.Minus(first.Count)
	var err, again error
	first.Payload, err = proto.Marshal(only(&whole, in, true))
	second.Payload, again = proto.Marshal(only(&whole, in, false))
	return first, second, err == nil && again == nil
}

// traceSizes returns the IDs of the traces in the order of their first spans, and how many
// spans each has.
func traceSizes(r *coltracepb.ExportTraceServiceRequest) (order []string, sizes map[string]int64) {
	sizes = map[string]int64{}
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				id := string(s.GetTraceId())
				if sizes[id] == 0 {
					order = append(order, id)
				}
				sizes[id]++
			}
		}
	}
	return order, sizes
}

// only returns a request with those spans whose traces are in the set, or with those whose
// are not.
func only(r *coltracepb.ExportTraceServiceRequest, set map[string]bool, in bool) *coltracepb.ExportTraceServiceRequest {
	out := &coltracepb.ExportTraceServiceRequest{}
	for _, rs := range r.GetResourceSpans() {
		part := &tracepb.ResourceSpans{Resource: rs.GetResource(), SchemaUrl: rs.GetSchemaUrl()}
		for _, ss := range rs.GetScopeSpans() {
			scope := &tracepb.ScopeSpans{Scope: ss.GetScope(), SchemaUrl: ss.GetSchemaUrl()}
			for _, s := range ss.GetSpans() {
				if set[string(s.GetTraceId())] == in {
					scope.Spans = append(scope.Spans, s)
				}
			}
			if len(scope.Spans) > 0 {
				part.ScopeSpans = append(part.ScopeSpans, scope)
			}
		}
		if len(part.ScopeSpans) > 0 {
			out.ResourceSpans = append(out.ResourceSpans, part)
		}
	}
	return out
}
