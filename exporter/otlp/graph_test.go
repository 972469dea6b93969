// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/otlp"
	"github.com/dwelltrace/dwell/internal/check/tracetest"
)

// drawn is what an encoder makes of one trace.
type drawn struct {
	spans   map[string]*tracepb.Span
	service map[string]string
}

func draw(tr *trace.Trace, o otlp.Options) drawn {
	d := drawn{make(map[string]*tracepb.Span), make(map[string]string)}
	for _, rs := range otlp.Spans([]*trace.Trace{tr}, o) {
		service := ""
		for _, kv := range rs.Resource.GetAttributes() {
			if kv.Key == trace.AttrServiceName {
				service = kv.Value.GetStringValue()
			}
		}
		for _, s := range rs.ScopeSpans[0].Spans {
			id := hex.EncodeToString(s.SpanId)
			d.spans[id], d.service[id] = s, service
		}
	}
	return d
}

func (d drawn) parent(s *tracepb.Span) *tracepb.Span {
	return d.spans[hex.EncodeToString(s.ParentSpanId)]
}

func (d drawn) place(s *tracepb.Span) string { return d.service[hex.EncodeToString(s.SpanId)] }

// tempo returns the edges that Tempo and the Collector's connector draw
// (https://grafana.com/docs/tempo/latest/metrics-from-traces/service_graphs/): from the
// service of a client span to that of the server span whose parent it is. A client that
// nobody answers leads to what its attribute server.address says. It fails if a server has no client,
// or a client more than one server: such a span waits for the other until it is given up.
func (d drawn) tempo(t rapid.TB) []string {
	servers := make(map[*tracepb.Span]int)
	var edges []string
	for _, s := range d.spans {
		if s.Kind != tracepb.Span_SPAN_KIND_SERVER {
			continue
		}
		client := d.parent(s)
		if client.GetKind() != tracepb.Span_SPAN_KIND_CLIENT {
			t.Fatalf("the server %q is below %q, which is not a client", s.Name, client.GetName())
		}
		servers[client]++
		edges = append(edges, d.place(client)+" -> "+d.place(s))
	}
	for _, s := range d.spans {
		if s.Kind != tracepb.Span_SPAN_KIND_CLIENT || servers[s] == 1 {
			continue
		}
		to := ""
		for _, kv := range s.Attributes {
			if kv.Key == trace.AttrServerAddress {
				to = kv.Value.GetStringValue()
			}
		}
		if servers[s] > 1 || to == "" {
			t.Fatalf("the client %q has %d servers, and the address %q", s.Name, servers[s], to)
		}
		edges = append(edges, d.place(s)+" -> "+to)
	}
	slices.Sort(edges)
	return edges
}

// jaeger returns the edges that Jaeger draws: from the service of a span's parent to its own.
func (d drawn) jaeger() []string {
	var edges []string
	for _, s := range d.spans {
		if p := d.parent(s); p != nil && d.place(p) != d.place(s) {
			edges = append(edges, d.place(p)+" -> "+d.place(s))
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

var graphed = otlp.Options{Version: options.Version, Host: options.Host, Graph: true}

func TestEdges(t *testing.T) {
	for name, tt := range map[string]struct {
		trace         *trace.Trace
		tempo, jaeger []string
	}{
		"answered on this host": {
			tracetest.Complete(1),
			[]string{"guest -> hypervisor", "hypervisor -> outside"},
			// The reply goes the other way, and hangs as a whole below the ping.
			[]string{"guest -> hypervisor", "guest -> outside", "hypervisor -> guest", "hypervisor -> outside", "outside -> hypervisor"},
		},
		"answered elsewhere": {
			tracetest.Beyond(1),
			[]string{"guest -> hypervisor", "hypervisor -> 203.0.113.8"},
			[]string{"guest -> hypervisor", "hypervisor -> guest"},
		},
		"dropped": {tracetest.Dropped(1), []string{"guest -> hypervisor"}, []string{"guest -> hypervisor"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := draw(tt.trace, graphed)
			short := func(edges []string) (out []string) {
				for _, e := range edges {
					out = append(out, strings.ReplaceAll(e, "dwell-bridge-", ""))
				}
				return out
			}
			if diff := cmp.Diff(tt.tempo, short(d.tempo(t))); diff != "" {
				t.Errorf("Tempo:\n%s", diff)
			}
			if diff := cmp.Diff(tt.jaeger, short(d.jaeger())); diff != "" {
				t.Errorf("Jaeger:\n%s", diff)
			}
		})
	}
}

// No span is its own client, waits for a partner in vain, or hangs anywhere but below what came
// before it in its journey; and nothing else is different from how it is without a graph.
func TestGraphOfAnyTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := passage(t)
		if rapid.Bool().Draw(t, "of the tests") {
			tr = rapid.SampledFrom(tracetest.All()).Draw(t, "trace")
		}
		flat, d := draw(tr, options), draw(tr, graphed)
		d.tempo(t)
		for id, s := range d.spans {
			was := flat.spans[id]
			if below, before := d.parent(s), flat.parent(was); below != nil && d.journey(s) != flat.journey(was) && before != nil {
				t.Fatalf("%q is below %q of another journey", s.Name, below.Name)
			}
			if client := d.parent(s); s.Kind == tracepb.Span_SPAN_KIND_SERVER && d.place(client) == d.place(s) {
				t.Fatalf("%q and %q are the same service", client.Name, s.Name)
			}
			plain := proto.Clone(s).(*tracepb.Span)
			plain.ParentSpanId, plain.Kind = was.ParentSpanId, was.Kind
			plain.Attributes = slices.DeleteFunc(plain.Attributes, func(kv *commonpb.KeyValue) bool { return kv.Key == trace.AttrServerAddress })
			if !proto.Equal(plain, was) {
				t.Fatalf("%v became %v", was, s)
			}
		}
	})
}

// journey returns the ID of the child of the root that the span is below.
func (d drawn) journey(s *tracepb.Span) string {
	for range len(d.spans) {
		p := d.parent(s)
		if p == nil || d.parent(p) == nil {
			return hex.EncodeToString(s.SpanId)
		}
		s = p
	}
	return "around itself"
}

// passage makes a ping through any namespaces, of which some are the same, some have the same
// name, and some are passed in a single span.
func passage(t *rapid.T) *trace.Trace {
	var nets []*trace.NetNS
	for i := range rapid.IntRange(1, 4).Draw(t, "namespaces") {
		name := fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "name"))
		nets = append(nets, &trace.NetNS{Inode: uint32(i), Name: name})
	}
	tr := &trace.Trace{ID: trace.ID{1}, Outcome: trace.Complete}
	add := func(parent int, kind trace.Kind, ns *trace.NetNS, leaf bool) int {
		return tr.Add(parent, trace.Span{ID: trace.SpanID{byte(len(tr.Spans) + 1)}, Kind: kind, NetNS: ns, Leaf: leaf, Packet: &trace.Packet{
			Src: tracetest.Complete(1).Ping.Src, Dst: tracetest.Complete(1).Ping.Dst,
		}})
	}
	pick := rapid.SampledFrom(nets)
	root := add(trace.NoParent, trace.KindPing, pick.Draw(t, "home"), false)
	for _, kind := range []trace.Kind{trace.KindRequest, trace.KindBeyond, trace.KindReply, trace.KindRequest} {
		if rapid.Bool().Draw(t, kind.String()) {
			continue
		}
		j := add(root, kind, pick.Draw(t, "first"), kind == trace.KindBeyond)
		if kind == trace.KindBeyond {
			continue
		}
		for range rapid.IntRange(0, 6).Draw(t, "units") {
			ns := pick.Draw(t, "where")
			if rapid.Bool().Draw(t, "whole") {
				add(j, trace.KindLink, ns, true)
				continue
			}
			hop := add(j, trace.KindHypervisor, ns, false)
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				add(hop, trace.KindForward, ns, true)
			}
		}
	}
	return tr
}

// With one name for all namespaces there is nothing to draw, and no service calls itself.
func TestOneServiceHasNoGraph(t *testing.T) {
	o := graphed
	o.Environment = otlp.Environment{{Key: trace.AttrServiceName, Value: "net"}}
	flat := o
	flat.Graph = false
	for _, tr := range tracetest.All() {
		for i, rs := range otlp.Spans([]*trace.Trace{tr}, o) {
			if !proto.Equal(rs, otlp.Spans([]*trace.Trace{tr}, flat)[i]) {
				t.Errorf("%v is drawn", tr.Ping)
			}
		}
	}
}

// The root on a host that a ping has reached hangs below the sender's span of that time, as its
// server, and only in what is sent to backends.
func TestGraphBetweenHosts(t *testing.T) {
	tr := tracetest.Elsewhere(3)
	for _, test := range []struct {
		turn   trace.SpanID
		graph  bool
		parent trace.SpanID
		kind   tracepb.Span_SpanKind
	}{
		{trace.SpanID{}, true, tr.Remote, tracepb.Span_SPAN_KIND_INTERNAL},
		{trace.SpanID{7: 9}, false, tr.Remote, tracepb.Span_SPAN_KIND_INTERNAL},
		{trace.SpanID{7: 9}, true, trace.SpanID{7: 9}, tracepb.Span_SPAN_KIND_SERVER},
	} {
		tr.RemoteTurn = test.turn
		o := options
		o.Graph = test.graph
		spans, _ := spansByID(t, otlp.Spans([]*trace.Trace{tr}, o))
		root := spans[tr.Root().ID.String()]
		if hex.EncodeToString(root.ParentSpanId) != test.parent.String() || root.Kind != test.kind || root.Flags != 0x303 {
			t.Errorf("%+v: it hangs below %x as %s, flags %#x", test, root.ParentSpanId, root.Kind, root.Flags)
		}
	}
}
