// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// Each span says whose it is, and the root whose ping it is, even where the root itself
// begins in a namespace of nobody. A span of nobody has no such attribute. One encoder
// encodes all, so that what it remembers of one tenant must not reach the next one.
func TestTenantOfEachSpan(t *testing.T) {
	var traces []*trace.Trace
	for seq, id := range []string{"red", "blue", "", "red"} {
		seq := uint16(4 * seq)
		for i, made := range []func(uint16) *trace.Trace{tracetest.Complete, tracetest.Dropped, tracetest.Beyond} {
			traces = append(traces, tracetest.Owned(made(seq+uint16(i)), id))
		}
		arriving := tracetest.Owned(tracetest.Complete(seq+3), id)
		arriving.Root().NetNS = tracetest.Outside
		traces = append(traces, arriving)
	}
	spans, _ := spansByID(t, otlp.Spans(traces, options))
	owned, free := 0, 0
	for _, tr := range traces {
		for i := range tr.Spans {
			want := tr.Spans[i].Tenant()
			if i == 0 {
				want = tr.Tenant()
			}
			got, found := attribute(spans[tr.Spans[i].ID.String()], trace.AttrTenantID)
			if got != want || found != (want != "") {
				t.Errorf("%s of %s: tenant %q, want %q", tr.Spans[i].Name(), tr.Tenant(), got, want)
			}
			if want == "" {
				free++
			} else {
				owned++
			}
		}
	}
	if owned == 0 || free == 0 {
		t.Errorf("%d spans with and %d without a tenant: there must be both", owned, free)
	}
}

func attribute(s *tracepb.Span, key string) (value string, found bool) {
	for _, kv := range s.GetAttributes() {
		if kv.Key == key {
			return kv.Value.GetStringValue(), true
		}
	}
	return "", false
}
