// SPDX-License-Identifier: Apache-2.0

package collectortest

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func lines(t testing.TB, path string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(text))
}

// decode reads a line of OTLP/JSON with the Collector's own decoder.
func decode(t testing.TB, line []byte) []*tracepb.ResourceSpans {
	t.Helper()
	traces, err := (&ptrace.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalTraces(line)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		t.Fatal(err)
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(binary, &data); err != nil {
		t.Fatal(err)
	}
	return data.ResourceSpans
}

func decodeMetrics(t testing.TB, line []byte) []*metricspb.ResourceMetrics {
	t.Helper()
	metrics, err := (&pmetric.JSONUnmarshaler{DisallowUnknownFields: true}).UnmarshalMetrics(line)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	if err != nil {
		t.Fatal(err)
	}
	var data metricspb.MetricsData
	if err := proto.Unmarshal(binary, &data); err != nil {
		t.Fatal(err)
	}
	return data.ResourceMetrics
}
