// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	sdktracetest "go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
)

// startSDK makes the SDK's spans of what dwell would send: the same names, times,
// attributes, events, resources. Starting and ending them is not measured, because dwell
// has nothing like it.
func startSDK(ctx context.Context, cfg config, traces []*trace.Trace) (func(int) error, func() error, error) {
	client, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(cfg.endpoint), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, nil, err
	}
	processor := sdktrace.NewBatchSpanProcessor(client, sdktrace.WithBlocking(), sdktrace.WithMaxQueueSize(queueSpans),
		sdktrace.WithMaxExportBatchSize(batchSpans), sdktrace.WithBatchTimeout(batchDelay))
	var spans []sdktrace.ReadOnlySpan
	for _, rs := range otlp.Spans(traces, options()) {
		res := resource.NewSchemaless(keyValues(rs.Resource.Attributes)...)
		for _, ss := range rs.ScopeSpans {
			scope := instrumentation.Scope{Name: ss.Scope.Name, Version: ss.Scope.Version}
			for _, s := range ss.Spans {
				spans = append(spans, snapshot(s, res, scope))
			}
		}
	}
	send := func(int) error {
		for _, s := range spans {
			processor.OnEnd(s)
		}
		return nil
	}
	return send, func() error { return processor.Shutdown(ctx) }, nil
}

func snapshot(s *tracepb.Span, res *resource.Resource, scope instrumentation.Scope) sdktrace.ReadOnlySpan {
	stub := sdktracetest.SpanStub{
		Name: s.Name, SpanKind: oteltrace.SpanKindInternal,
		SpanContext: spanContext(s.TraceId, s.SpanId), Parent: spanContext(s.TraceId, s.ParentSpanId),
		StartTime: nanos(s.StartTimeUnixNano), EndTime: nanos(s.EndTimeUnixNano),
		Attributes: keyValues(s.Attributes), Resource: res, InstrumentationScope: scope,
	}
	for _, e := range s.Events {
		stub.Events = append(stub.Events, sdktrace.Event{Name: e.Name, Time: nanos(e.TimeUnixNano), Attributes: keyValues(e.Attributes)})
	}
	if s.Status != nil {
		stub.Status = sdktrace.Status{Code: codes.Error, Description: s.Status.Message}
	}
	return stub.Snapshot()
}

func spanContext(traceID, spanID []byte) oteltrace.SpanContext {
	var c oteltrace.SpanContextConfig
	copy(c.TraceID[:], traceID)
	copy(c.SpanID[:], spanID)
	c.TraceFlags = oteltrace.FlagsSampled
	return oteltrace.NewSpanContext(c)
}

func nanos(n uint64) time.Time { return time.Unix(0, int64(n)) }

func keyValues(from []*commonpb.KeyValue) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, len(from))
	for i, kv := range from {
		if v, ok := kv.Value.Value.(*commonpb.AnyValue_IntValue); ok {
			kvs[i] = attribute.Int64(kv.Key, v.IntValue)
			continue
		}
		kvs[i] = attribute.String(kv.Key, kv.Value.GetStringValue())
	}
	return kvs
}
