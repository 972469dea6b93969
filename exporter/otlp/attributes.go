// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/exporter/internal/spantree"
)

// maxAttributes is more than any span has: those of a span and of a root.
const maxAttributes = 24

// attributes makes the attributes of span i.
func (c *conversion) attributes(t *trace.Trace, i int) []*commonpb.KeyValue {
	s := &t.Spans[i]
	w := writer{c, c.lists.list(maxAttributes)}
	w.add(c.memos.kind.get(s.Kind))
	w.int(trace.AttrDwellNS, s.Duration())
	if d := c.nodes[i].Direction; d != spantree.Neither {
		w.add(c.memos.direction.get(d))
	}
	w.devices(s)
	w.packet(s.Packet)
	if e := errorType(t, i); e != "" {
		w.string(trace.AttrErrorType, e)
	}
	if i == 0 {
		w.root(t)
	}
	return c.lists.keep(w.list)
}

// writer appends attributes to a list.
type writer struct {
	c    *conversion
	list []*commonpb.KeyValue
}

func (w *writer) add(kv *commonpb.KeyValue) { w.list = append(w.list, kv) }

func (w *writer) string(key, value string) { w.add(stringValue(key, value)) }

func (w *writer) int(key string, value int64) { w.add(w.c.ints.next().set(key, value)) }

func (w *writer) devices(s *trace.Span) {
	m := &w.c.memos
	if s.Device != nil {
		w.add(m.device.get(s.Device))
	}
	if s.Peer != nil {
		w.add(m.peer.get(s.Peer))
	}
	if b := s.Bridge(); b != "" {
		w.add(m.bridge.get(b))
	}
}

func (w *writer) packet(p trace.Packet) {
	if !p.Src.IsValid() {
		return
	}
	m := &w.c.memos
	w.add(m.source.get(p.Src))
	w.add(m.destination.get(p.Dst))
	w.add(m.networkType.get(p.Src.Is4()))
	w.add(m.transport.get(p.Src.Is4()))
	if p.Encapsulated() {
		w.add(m.outerSource.get(p.OuterSrc))
		w.add(m.outerDestination.get(p.OuterDst))
		w.int(trace.AttrTunnelVNI, int64(p.VNI))
	}
}

// root writes what is known of the trace as a whole.
func (w *writer) root(t *trace.Trace) {
	w.int(trace.AttrICMPID, int64(t.Ping.ID))
	w.int(trace.AttrICMPSeq, int64(t.Ping.Seq))
	w.int(trace.AttrPayloadLen, int64(t.Ping.PayloadLen))
	w.string(trace.AttrOutcome, t.Outcome.String())
	if t.Cause != "" {
		w.string(trace.AttrIncomplete, string(t.Cause))
	}
	if t.Local {
		w.string(trace.AttrIdentity, "local")
	}
	if t.Duplicates > 0 {
		w.int(trace.AttrDuplicates, int64(t.Duplicates))
	}
}

func (c *conversion) eventAttributes(attrs []trace.Attr) []*commonpb.KeyValue {
	w := writer{c, c.lists.list(len(attrs))}
	for _, a := range attrs {
		if a.IsInt {
			w.int(a.Key, a.Int)
		} else {
			w.string(a.Key, a.Str)
		}
	}
	return c.lists.keep(w.list)
}
