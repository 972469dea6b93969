// SPDX-License-Identifier: Apache-2.0

package otlpread

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// span is one as it stands in the line, before its place in a tree is known.
type span struct {
	trace.Span
	id key
	// parent is the ID that it names, whether or not that is in the line.
	parent trace.SpanID
	state  string
	// name is as written, tenant that of dwell.tenant.id.
	name, tenant string
	attrs        pcommon.Map
	// group is which of the line's resources the span is of.
	group int
	// children are indices in forest.spans, in the line's order.
	children []int
}

// key identifies a span within a line.
type key struct {
	trace trace.ID
	span  trace.SpanID
}

// forest is all spans of a line.
type forest struct {
	spans []span
	// roots are indices in spans.
	roots []int
}

// read reads all spans, and joins each to its parent.
func read(data ptrace.Traces) (*forest, error) {
	f := &forest{spans: make([]span, 0, data.SpanCount())}
	for group, rs := range data.ResourceSpans().All() {
		a := attributes{m: rs.Resource().Attributes()}
		ns := a.netns()
		if a.err != nil {
			return nil, a.err
		}
		first := len(f.spans)
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				one, err := readSpan(s, ns)
				if err != nil {
					return nil, fmt.Errorf("span %s: %w", s.SpanID(), err)
				}
				one.group = group
				f.spans = append(f.spans, one)
			}
		}
		own(f.spans[first:], ns)
	}
	return f, f.join()
}

func readSpan(s ptrace.Span, ns *trace.NetNS) (span, error) {
	a := attributes{m: s.Attributes()}
	kind, _ := trace.ParseKind(a.text(trace.AttrKind)) // a new one stays unknown, and has its name as title
	out := span{
		Span: trace.Span{
			ID: trace.SpanID(s.SpanID()), Kind: kind, NetNS: ns,
			Start: int64(s.StartTimestamp()), End: int64(s.EndTimestamp()),
			Packet: a.packet(), Error: a.text(trace.AttrErrorType),
		},
		id:     key{trace.ID(s.TraceID()), trace.SpanID(s.SpanID())},
		parent: trace.SpanID(s.ParentSpanID()), state: s.TraceState().AsRaw(), name: s.Name(),
		tenant: a.text(trace.AttrTenantID), attrs: s.Attributes(),
	}
	if a.has(trace.AttrNetworkInterface) {
		out.Device = &trace.Device{NetNS: ns, Name: a.text(trace.AttrNetworkInterface)}
	}
	if a.has(trace.AttrPeerInterface) {
		out.Peer = &trace.Device{NetNS: ns, Name: a.text(trace.AttrPeerInterface)}
	}
	switch bridge := a.text(trace.AttrBridge); {
	case bridge == "":
	case out.Peer != nil && (kind == trace.KindLink || out.Device == nil):
		out.Peer.Bridge = bridge // a pair leads into a bridge more often than out of a port of one
	case out.Device != nil:
		out.Device.Bridge = bridge
	}
	for _, e := range s.Events().All() {
		out.Events = append(out.Events, trace.Event{Time: int64(e.Timestamp()), Name: e.Name(), Attrs: eventAttrs(e.Attributes())})
	}
	return out, a.err
}

// own says whose the devices of a namespace are, or the namespace as a whole if a span is
// somebody's that is about no device. What the root says is about the ping.
func own(spans []span, ns *trace.NetNS) {
	for i := range spans {
		switch s := &spans[i]; {
		case s.Kind == trace.KindPing || s.tenant == "":
		case s.Device != nil:
			s.Device.Tenant = s.tenant
		default:
			ns.Tenant = s.tenant
		}
	}
}

// join makes each span a child of its parent, or a root.
func (f *forest) join() error {
	byID := make(map[key]int, len(f.spans))
	for i := range f.spans {
		id := f.spans[i].id
		if id.span == (trace.SpanID{}) {
			return fmt.Errorf("trace %s: a span without an ID", id.trace)
		}
		if _, twice := byID[id]; twice {
			return fmt.Errorf("trace %s: two spans have the ID %s", id.trace, id.span)
		}
		byID[id] = i
	}
	for i := range f.spans {
		s := &f.spans[i]
		// A root may name itself: the parent is that of the same trace on another host, without
		// a host ID to tell them apart.
		if p, ok := byID[key{s.id.trace, s.parent}]; ok && (p != i || s.Kind != trace.KindPing) {
			f.spans[p].children = append(f.spans[p].children, i)
			continue
		}
		if s.Kind != trace.KindPing {
			return fmt.Errorf("trace %s: the span %s (%.60q) has no parent and is not a ping", s.id.trace, s.id.span, s.name)
		}
		f.roots = append(f.roots, i)
	}
	return nil
}
