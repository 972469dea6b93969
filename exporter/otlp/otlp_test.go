// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

var options = otlp.Options{Version: "1.2.3", Host: otlp.Host{ID: "abc", Name: "node-1"}}

// values returns attributes as a map from key to string or int64. It fails the
// test on a duplicate key, which OTLP forbids.
func values(t *testing.T, kvs []*commonpb.KeyValue) map[string]any {
	t.Helper()
	m := make(map[string]any)
	for _, kv := range kvs {
		if _, ok := m[kv.Key]; ok {
			t.Errorf("attribute %s is there twice", kv.Key)
		}
		switch v := kv.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[kv.Key] = v.IntValue
		default:
			t.Errorf("attribute %s has a value of type %T", kv.Key, v)
		}
	}
	return m
}

// spansByID returns all spans by their ID, and the name of the service of each.
func spansByID(t *testing.T, resources []*tracepb.ResourceSpans) (spans map[string]*tracepb.Span, service map[string]string) {
	t.Helper()
	spans, service = make(map[string]*tracepb.Span), make(map[string]string)
	for _, rs := range resources {
		name, _ := values(t, rs.Resource.Attributes)["service.name"].(string)
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				id := hex.EncodeToString(s.SpanId)
				if spans[id] != nil {
					t.Errorf("span %s is there twice", id)
				}
				spans[id], service[id] = s, name
			}
		}
	}
	return spans, service
}

func TestEverySpanIsThereToTheNanosecond(t *testing.T) {
	traces := []*trace.Trace{
		tracetest.Complete(1), tracetest.Beyond(2), tracetest.Dropped(3), tracetest.NoReply(4),
	}
	traces[2].State = "ot=th:0"
	got, service := spansByID(t, otlp.Spans(traces, options))
	n := 0
	for _, tr := range traces {
		n += len(tr.Spans)
		for i := range tr.Spans {
			want := &tr.Spans[i]
			s := got[want.ID.String()]
			if s == nil {
				t.Fatalf("no span %s", want)
			}
			type facts struct {
				TraceID, Parent, Name, Service string
				Start, End                     int64
				Kind                           tracepb.Span_SpanKind
				Flags                          uint32
				State                          string
			}
			parent := ""
			if i > 0 {
				parent = tr.Spans[want.Parent].ID.String()
			}
			if diff := cmp.Diff(
				facts{tr.ID.String(), parent, want.Name(), want.NetNS.Name, want.Start, want.End, tracepb.Span_SPAN_KIND_INTERNAL, 0x103, tr.State},
				facts{
					hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId), s.Name, service[want.ID.String()],
					int64(s.StartTimeUnixNano), int64(s.EndTimeUnixNano), s.Kind, s.Flags, s.TraceState,
				},
			); diff != "" {
				t.Errorf("span %s (-want +got):\n%s", want, diff)
			}
			if got := values(t, s.Attributes)["dwell.ns"]; got != want.Duration() {
				t.Errorf("span %s: dwell.ns is %v", want, got)
			}
		}
	}
	if len(got) != n {
		t.Errorf("%d spans came out, %d went in", len(got), n)
	}
}

// find returns the span of the given name and direction.
func find(t *testing.T, resources []*tracepb.ResourceSpans, name string, direction any) *tracepb.Span {
	t.Helper()
	spans, _ := spansByID(t, resources)
	for _, s := range spans {
		if s.Name == name && values(t, s.Attributes)["dwell.direction"] == direction {
			return s
		}
	}
	t.Fatalf("no span %q in direction %v", name, direction)
	return nil
}

func TestAttributes(t *testing.T) {
	ping := tracetest.Complete(17)
	ping.Duplicates = 2
	ping.Local = true
	resources := otlp.Spans([]*trace.Trace{ping}, options)
	const root = "ping"
	for _, tt := range []struct {
		span      string
		direction any
		want      map[string]any
	}{
		{root, nil, map[string]any{
			"dwell.kind": "ping", "dwell.ns": ping.Root().Duration(), "dwell.outcome": "complete",
			"dwell.icmp.id": int64(4711), "dwell.icmp.seq": int64(17), "dwell.icmp.payload_size": int64(56),
			"dwell.identity": "local", "dwell.duplicates": int64(2),
			"source.address": "192.168.0.10", "destination.address": "203.0.113.8",
			"network.type": "ipv4", "network.transport": "icmp",
		}},
		{"link brovsns-ns -> brovsns-br", "request", map[string]any{
			"dwell.kind": "link", "dwell.ns": int64(3918), "dwell.direction": "request",
			"network.interface.name": "brovsns-ns", "dwell.peer.interface.name": "brovsns-br", "dwell.bridge.name": "ovs-br",
			"source.address": "192.168.0.10", "destination.address": "203.0.113.8",
			"network.type": "ipv4", "network.transport": "icmp",
		}},
		{"queue ens3", "request", map[string]any{
			"dwell.kind": "transmit", "dwell.ns": int64(287), "dwell.direction": "request",
			"network.interface.name": "ens3",
			"source.address":         "198.51.100.2", "destination.address": "203.0.113.8",
			"network.type": "ipv4", "network.transport": "icmp",
		}},
	} {
		t.Run(tt.span, func(t *testing.T) {
			s := find(t, resources, tt.span, tt.direction)
			if diff := cmp.Diff(tt.want, values(t, s.Attributes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Status != nil {
				t.Errorf("status %v on a span without error", s.Status)
			}
		})
	}
}

func TestTunnelAttributes(t *testing.T) {
	ping := tracetest.Tunnelled(1)
	s := find(t, otlp.Spans([]*trace.Trace{ping}, options), ping.Root().Name(), nil)
	got := values(t, s.Attributes)
	for key, want := range map[string]any{
		"network.type": "ipv6", "network.transport": "icmpv6", "source.address": "2001:db8::10",
		"dwell.tunnel.source.address": "198.51.100.2", "dwell.tunnel.destination.address": "203.0.113.8",
		"dwell.tunnel.id": int64(42),
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
}

func TestDropIsAnErrorWhereItHappenedAndOnTheRoot(t *testing.T) {
	ping := tracetest.Dropped(1)
	resources := otlp.Spans([]*trace.Trace{ping}, options)
	for _, tt := range []struct {
		span      string
		direction any
		message   string
	}{
		{"ping", nil, "the kernel dropped a packet of this ping: NETFILTER_DROP"},
		{"forward", "request", "the kernel dropped the echo request here: NETFILTER_DROP"},
	} {
		s := find(t, resources, tt.span, tt.direction)
		if s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || s.Status.GetMessage() != tt.message {
			t.Errorf("%s: status %v, want error %q", tt.span, s.Status, tt.message)
		}
		if got := values(t, s.Attributes)["error.type"]; got != "NETFILTER_DROP" {
			t.Errorf("%s: error.type = %v", tt.span, got)
		}
	}
	if s := find(t, resources, "hypervisor", "request"); s.Status != nil {
		t.Errorf("status %v on a span in which no packet died", s.Status)
	}
}

// Only what went wrong is an error: that a time to live runs out is what traceroute asks for,
// and that a trace is partial what its user asked for.
func TestStatusOfEachOutcome(t *testing.T) {
	type status struct {
		code           tracepb.Status_StatusCode
		errorType, msg any
	}
	want := map[trace.Outcome]status{
		trace.Dropped:     {tracepb.Status_STATUS_CODE_ERROR, "NETFILTER_DROP", "the kernel dropped a packet of this ping: NETFILTER_DROP"},
		trace.Unreachable: {tracepb.Status_STATUS_CODE_ERROR, "icmp_unreachable", "a host on the way answered with an ICMP error"},
	}
	seen := map[trace.Outcome]bool{}
	for _, tr := range tracetest.All() {
		spans, _ := spansByID(t, otlp.Spans([]*trace.Trace{tr}, options))
		root := spans[tr.Root().ID.String()]
		got := status{root.Status.GetCode(), values(t, root.Attributes)[trace.AttrErrorType], root.Status.GetMessage()}
		expected, ok := want[tr.Outcome]
		if !ok {
			expected = status{tracepb.Status_STATUS_CODE_UNSET, nil, ""}
		}
		if got != expected {
			t.Errorf("%s: %v, want %v", tr.Outcome, got, expected)
		}
		seen[tr.Outcome] = true
	}
	for _, o := range trace.Outcomes() {
		if !seen[o] {
			t.Errorf("there is no made-up trace with the outcome %s", o)
		}
	}
}

// The root on a host that a ping only passes is a child of the sender's root, and says that
// this is on another host.
func TestRemoteParent(t *testing.T) {
	tr := tracetest.Elsewhere(3)
	spans, _ := spansByID(t, otlp.Spans([]*trace.Trace{tr}, options))
	const here, remote = 0x103, 0x303 // SpanFlags of opentelemetry/proto/trace/v1/trace.proto
	for i := range tr.Spans {
		s := spans[tr.Spans[i].ID.String()]
		parent, flags := tr.Remote.String(), uint32(remote)
		if i > 0 {
			parent, flags = tr.Spans[tr.Spans[i].Parent].ID.String(), here
		}
		if got := hex.EncodeToString(s.ParentSpanId); got != parent || s.Flags != flags {
			t.Errorf("span %d: parent %s, flags %#x; want %s, %#x", i, got, s.Flags, parent, flags)
		}
	}
}

func TestSpanEvents(t *testing.T) {
	ping := tracetest.Beyond(1)
	s := find(t, otlp.Spans([]*trace.Trace{ping}, options), "forward", "request")
	if len(s.Events) != 1 {
		t.Fatalf("%d events, want one", len(s.Events))
	}
	e := s.Events[0]
	if e.Name != "nat" || e.TimeUnixNano != s.StartTimeUnixNano+3021 {
		t.Errorf("event %s at %d ns", e.Name, e.TimeUnixNano-s.StartTimeUnixNano)
	}
	want := map[string]any{
		"dwell.nat.before": "192.168.0.10 -> 203.0.113.8 id 4711",
		"dwell.nat.after":  "198.51.100.2 -> 203.0.113.8 id 4711",
	}
	if diff := cmp.Diff(want, values(t, e.Attributes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAttributesAreDocumented holds what is written against trace.Attributes, from
// which the documentation is made.
func TestAttributesAreDocumented(t *testing.T) {
	type place struct{ key, on string }
	documented := make(map[place]string)
	for _, a := range trace.Attributes {
		documented[place{a.Key, a.On}] = a.Type
		if a.On == trace.OnSpan {
			documented[place{a.Key, trace.OnRoot}] = a.Type
		}
	}
	check := func(on string, kvs []*commonpb.KeyValue) {
		for key, v := range values(t, kvs) {
			want, ok := documented[place{key, on}]
			if !ok {
				t.Errorf("%s is written on a %s but not documented", key, on)
			} else if got := map[bool]string{true: "int", false: "string"}[isInt(v)]; got != want {
				t.Errorf("%s is written as %s and documented as %s", key, got, want)
			}
		}
	}
	all := tracetest.All()
	all[0].Local, all[0].Duplicates = true, 1
	tracetest.Owned(all[0], "red")
	for _, rs := range otlp.Spans(all, options) {
		check(trace.OnResource, rs.Resource.Attributes)
		for _, s := range rs.ScopeSpans[0].Spans {
			on := trace.OnSpan
			if values(t, s.Attributes)[trace.AttrKind] == trace.KindPing.String() {
				on = trace.OnRoot
			}
			check(on, s.Attributes)
			for _, e := range s.Events {
				check(trace.OnEvent, e.Attributes)
			}
		}
	}
}

func isInt(v any) bool {
	_, ok := v.(int64)
	return ok
}

// Backends count and index by the names of roots: which ping it is must not be in them.
func TestRootsHaveOneName(t *testing.T) {
	pings := append(tracetest.All(), tracetest.Complete(2), tracetest.Complete(3))
	for _, ping := range pings {
		spans, _ := spansByID(t, otlp.Spans([]*trace.Trace{ping}, options))
		if s := spans[ping.Root().ID.String()]; s.GetName() != "ping" {
			t.Errorf("the root of %v is named %q", ping.Ping, s.GetName())
		}
	}
}
