// SPDX-License-Identifier: Apache-2.0

package otlpfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// TestCollectorReadsTheSame: whatever is in a trace, the Collector reads from a line what
// it reads from the same trace in protobuf.
func TestCollectorReadsTheSame(t *testing.T) {
	anything := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\"\\\x00\n\u2028<é", "\xff"}))
	e, reference := NewEncoder(otlp.Options{}), otlp.NewEncoder(otlp.Options{})
	rapid.Check(t, func(t *rapid.T) {
		traces := rapid.SliceOfN(rapid.SampledFrom(tracetest.All()), 0, 3).Draw(t, "traces")
		for i, old := range traces {
			tr := *old
			tr.Spans = append([]trace.Span(nil), old.Spans...)
			s := &tr.Spans[rapid.IntRange(0, len(tr.Spans)-1).Draw(t, "span")]
			s.Title, s.Error = anything.Draw(t, "title"), anything.Draw(t, "error")
			s.Start, s.End = rapid.Int64().Draw(t, "start"), rapid.Int64().Draw(t, "end")
			s.Events = []trace.Event{{Name: anything.Draw(t, "event"), Attrs: []trace.Attr{trace.Int("n", rapid.Int64().Draw(t, "int"))}}}
			tr.State = anything.Draw(t, "state")
			traces[i] = &tr
		}
		line, err := e.Append(nil, traces)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&ptrace.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalTraces(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		want, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(reference.Append(nil, traces))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
			t.Fatalf("(-protobuf +line):\n%s", diff)
		}
	})
}

func asJSON(t *rapid.T, td ptrace.Traces) string {
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDamage: what is no message is an error and never a panic.
func TestDamage(t *testing.T) {
	whole := otlp.NewEncoder(otlp.Options{}).Append(nil, []*trace.Trace{tracetest.Dropped(1)})
	s := tracesData()
	if _, err := s.appendJSON(nil, []byte{15<<3 | 2, 0}); err == nil {
		t.Error("no error for a field without a name")
	}
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte(nil), whole...)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= rapid.Byte().Draw(t, "bits")
		_, _ = s.appendJSON(nil, b[:rapid.IntRange(0, len(b)).Draw(t, "length")]) // may fail, must not panic
	})
}

func BenchmarkEncoder(b *testing.B) {
	e := NewEncoder(otlp.Options{Version: "1.0.0"})
	traces := []*trace.Trace{tracetest.Complete(1)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = e.Append(buf[:0], traces); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(traces[0].Spans)), "ns/span")
}
