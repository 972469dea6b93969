// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// table is how long packets dwelt in each place in the last minute. The rows are in the
// order of the path.
type table struct {
	rows  []*row
	byKey map[key]*row
	// beyond counts the measurements for which there was no row left.
	beyond uint64
	// tidied is when rows were looked for that are of no use any more, in seconds.
	tidied int64
}

// key says where: what the agent's summary tells apart.
type key struct {
	netns, device, peer, bridge, direction string
	kind                                   string
	// parent is the kind of the span that this one is a part of, or "".
	parent string
}

type row struct {
	key
	window window
	// used is when a ping passed last, in seconds.
	used int64
}

// add takes in the spans of a ping, apart from those that were cut short.
func (t *table) add(p *ping) {
	if t.byKey == nil {
		t.byKey = make(map[key]*row)
	}
	t.tidy(p.at.Unix())
	place := 0
	for i := range p.t.Spans {
		s := &p.t.Spans[i]
		if s.Kind == trace.KindPing || s.Kind.Journey() {
			continue
		}
		k := keyOf(p.t, s)
		r := t.byKey[k]
		if r == nil {
			if len(t.rows) >= maxRows {
				t.beyond++
				continue
			}
			r = &row{key: k}
			t.byKey[k] = r
			t.rows = slices.Insert(t.rows, place, r)
		}
		r.used = p.at.Unix()
		if place < len(t.rows) && t.rows[place] == r {
			place++
		} else {
			place = slices.Index(t.rows, r) + 1
		}
		if s.Error == "" && !cutShort(p.t, s) {
			r.window.add(p.at, s.Duration())
		}
	}
}

// tidy makes room, at most once a second, by taking out what no ping has passed for a
// minute.
func (t *table) tidy(now int64) {
	if len(t.rows) < maxRows/2 || now <= t.tidied {
		return
	}
	t.tidied = now
	t.rows = slices.DeleteFunc(t.rows, func(r *row) bool {
		old := now-r.used >= windowSeconds
		if old {
			delete(t.byKey, r.key)
		}
		return old
	})
}

// cutShort reports whether a packet was last seen in the span, so that its end is not that
// of the dwell.
func cutShort(t *trace.Trace, s *trace.Span) bool {
	return t.Outcome == trace.Incomplete && s.Direction != trace.NoDirection && s.End == journeyEnd(t, s)
}

func journeyEnd(t *trace.Trace, s *trace.Span) int64 {
	for s.Parent != trace.NoParent && !s.Kind.Journey() {
		s = &t.Spans[s.Parent]
	}
	return s.End
}

func keyOf(t *trace.Trace, s *trace.Span) key {
	k := key{netns: s.NetNS.Name, kind: s.Kind.String(), bridge: s.Bridge(), direction: s.Direction.String()}
	if s.Device != nil {
		k.device = s.Device.Name
	}
	if s.Peer != nil {
		k.peer = s.Peer.Name
	}
	if parent := &t.Spans[s.Parent]; s.Parent > 0 && !parent.Kind.Journey() {
		k.parent = parent.Kind.String()
	}
	return k
}

func keyOfDevice(d *api.Device) key {
	return key{netns: d.NetNS, kind: d.Kind, device: d.Device, peer: d.Peer, bridge: d.Bridge, direction: d.Direction, parent: d.Parent}
}

// name says in a word or two what the row is about; its namespace stands beside it.
func (k key) name() string {
	kind, known := trace.ParseKind(k.kind)
	if !known {
		return k.kind
	}
	s := trace.Span{Kind: kind, Inner: k.parent != "" && k.device != ""}
	if k.device != "" {
		s.Device = &trace.Device{Name: k.device, Bridge: k.bridge}
	}
	if k.peer != "" && s.Device != nil {
		s.Peer = &trace.Device{Name: k.peer}
	}
	switch kind {
	case trace.KindDevice:
		if k.bridge == "" {
			return k.kind // a router is its namespace
		}
	case trace.KindHypervisor, trace.KindForward, trace.KindDeliver:
		return strings.TrimRight(k.kind+" "+k.device, " ") // there may be one for each device where they begin
	}
	return s.Name()
}

// clone returns a copy that does not change when t does.
func (t *table) clone() table {
	c := table{rows: make([]*row, len(t.rows)), beyond: t.beyond}
	for i, r := range t.rows {
		c.rows[i] = &row{key: r.key, window: r.window.clone()}
	}
	return c
}
