// SPDX-License-Identifier: Apache-2.0

package otlpread

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// traces makes a trace of each root.
func (f *forest) traces() ([]*trace.Trace, error) {
	var out []*trace.Trace
	placed := 0
	for _, root := range f.roots {
		t, err := f.trace(root)
		if err != nil {
			return nil, err
		}
		placed += len(t.Spans)
		out = append(out, t)
	}
	if placed != len(f.spans) {
		return nil, fmt.Errorf("%d spans are around themselves", len(f.spans)-placed)
	}
	return out, nil
}

func (f *forest) trace(root int) (*trace.Trace, error) {
	r := &f.spans[root]
	t := &trace.Trace{ID: r.id.trace, Remote: r.parent, State: r.state}
	if len(f.roots) == 1 {
		t.Spans = make([]trace.Span, 0, len(f.spans))
	}
	a := attributes{m: r.attrs}
	a.root(t)
	if a.err != nil {
		return nil, fmt.Errorf("span %s: %w", r.id.span, a.err)
	}
	t.Ping.Src, t.Ping.Dst = r.Packet.Addresses()
	if err := f.add(t, trace.NoParent, root); err != nil {
		return nil, err
	}
	if e := &t.Root().Error; *e != "" && *e == t.Outcome.ErrorType() {
		*e = ""
	}
	t.DropReason = t.Root().Error
	meet(t)
	share(t)
	ownFirst(t, r.tenant)
	for i := range t.Spans {
		t.Sent = t.Sent || t.Spans[i].Kind == trace.KindRequest && t.Remote == (trace.SpanID{})
	}
	return t, nil
}

// add adds a span to the trace, and all that is below it.
func (f *forest) add(t *trace.Trace, parent, at int) error {
	s := &f.spans[at]
	one := s.Span
	one.Leaf = len(s.children) == 0 && !s.Kind.Journey() && s.Kind != trace.KindPing
	if parent != trace.NoParent {
		p := &t.Spans[parent]
		if p.Depth >= maxDepth {
			return fmt.Errorf("trace %s: more than %d spans around one", s.id.trace, maxDepth)
		}
		one.Inner = p.Kind != trace.KindPing && !p.Kind.Journey() && (one.Kind != trace.KindTransmit || one.Device != nil)
	}
	if one.Name() != s.name {
		one.Title = s.name
	}
	i := t.Add(parent, one)
	for _, child := range f.order(s, parent == trace.NoParent) {
		if err := f.add(t, i, child); err != nil {
			return err
		}
	}
	return nil
}

// order returns a span's children in their order in the tree: by time, and below the root by
// rank. The line keeps that order among those of one namespace, whatever their times; so
// none comes before one that stands before it there.
func (f *forest) order(s *span, ofRoot bool) []int {
	places := make([]place, len(s.children))
	for i, child := range s.children {
		c := &f.spans[child]
		places[i] = place{child: child, start: c.Start, end: c.End}
		if ofRoot {
			places[i].rank = rank(c)
		}
		if i > 0 && c.group == f.spans[s.children[i-1]].group {
			places[i].notBefore(places[i-1])
		}
	}
	slices.SortStableFunc(places, place.compare)
	out := make([]int, len(places))
	for i := range places {
		out[i] = places[i].child
	}
	return out
}

// place says where a child stands among its siblings.
type place struct {
	child, rank int
	start, end  int64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.rank, q.rank), cmp.Compare(p.start, q.start), cmp.Compare(p.end, q.end))
}

// notBefore moves p to where q is, if it would be before that.
func (p *place) notBefore(q place) {
	if p.compare(q) < 0 {
		p.rank, p.start, p.end = q.rank, q.start, q.end
	}
}

// rank orders the children of a root: the request's journey, what is between, the reply's,
// then further ones, whose names say that they are.
func rank(s *span) int {
	further := strings.HasPrefix(s.name, s.Kind.String()+" (")
	switch {
	case s.Kind == trace.KindRequest && !further:
		return 0
	case !s.Kind.Journey():
		return 1
	case s.Kind == trace.KindReply && !further:
		return 2
	case s.Kind == trace.KindRequest:
		return 3
	}
	return 4
}

// meet makes the peer of a leaf the device where the next leaf begins, if that has its name:
// so it becomes known in which namespace it is. Of the two ends of a pair, it is the one that other
// leaves say is a port of the bridge.
func meet(t *trace.Trace) {
	ports := make(map[trace.Device]string)
	var last *trace.Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Device != nil && s.Kind != trace.KindLink {
			ports[trace.Device{NetNS: s.NetNS, Name: s.Device.Name}] = s.Device.Bridge
		}
		if !s.Leaf {
			continue
		}
		if last != nil && last.Peer != nil && s.Device != nil && last.Peer.Name == s.Device.Name && last.Direction == s.Direction {
			last.Peer.NetNS, last.Peer.Tenant = s.NetNS, s.Device.Tenant
		}
		last = s
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Kind != trace.KindLink || s.Device == nil || s.Peer == nil || s.Bridge() == "" {
			continue
		}
		if bridge := s.Bridge(); ports[trace.Device{NetNS: s.NetNS, Name: s.Device.Name}] == bridge {
			s.Device.Bridge, s.Peer.Bridge = bridge, ports[trace.Device{NetNS: s.Peer.NetNS, Name: s.Peer.Name}]
		}
	}
}

// share makes one of devices that are alike: exporters remember what they know of each.
func share(t *trace.Trace) {
	devices := make(map[trace.Device]*trace.Device)
	one := func(d *trace.Device) *trace.Device {
		if d == nil {
			return nil
		}
		if same, ok := devices[*d]; ok {
			return same
		}
		devices[*d] = d
		return d
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		s.Device, s.Peer = one(s.Device), one(s.Peer)
	}
}

// ownFirst sees to it that the trace's first tenant is the one that the root names: if no other
// span says so, the root's namespace is that tenant's or, if a span there is not, the first peer of nobody.
func ownFirst(t *trace.Trace, tenant string) {
	if tenant == "" || t.Tenant() == tenant {
		return
	}
	home := t.Root().NetNS
	contradicts := func(s trace.Span) bool { return s.NetNS == home && s.Tenant() != tenant }
	if !slices.ContainsFunc(t.Spans[1:], contradicts) {
		home.Tenant = tenant
		return
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Leaf && s.Peer != nil && s.Peer.Tenant == "" {
			own := *s.Peer
			own.Tenant = tenant
			s.Peer = &own
			return
		}
	}
}
