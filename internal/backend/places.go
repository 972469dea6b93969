// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/backend/api"
)

// recentPlaces is how many spans of a trace are looked for in the cache in front.
const recentPlaces = 64

// place is what a row is about, by names: devices come and go under the same ones.
type place struct {
	netns, device, peer, bridge string
	kind, parent                trace.Kind
	direction                   trace.Direction
}

// placeKey finds a row without looking at a string.
type placeKey struct {
	what         uint32
	device, peer *trace.Device
	netns        *trace.NetNS
}

// row is how long packets dwelt in one place.
type row struct {
	place place
	// used is when something was added last, in nanoseconds since the epoch.
	used  int64
	times histogram
}

// places counts dwell by place. The number of rows is bounded: what would be too many is
// added to a row for all the rest. Whoever has one does the locking.
type places struct {
	max    int
	recent [recentPlaces]struct {
		key placeKey
		row *row
	}
	known map[placeKey]*row
	rows  map[place]*row
	rest  row
	// sweepAt is when rows that are no longer used may make room next.
	sweepAt int64
}

func newPlaces(limit int) *places {
	return &places{max: limit, known: map[placeKey]*row{}, rows: map[place]*row{}}
}

// When there is no row left, those not used for idlePlace are added to the rest, but the
// search for them is made only so often.
const (
	idlePlace  = int64(10 * 60 * 1e9)
	sweepPause = int64(60 * 1e9)
)

// observe adds the span with the index i of a trace.
func (p *places) observe(t *trace.Trace, i int) {
	s := &t.Spans[i]
	parent := t.Spans[s.Parent].Kind
	if parent.Journey() || parent == trace.KindPing {
		parent = 0
	}
	key := placeKey{uint32(s.Kind) | uint32(parent)<<8 | uint32(s.Direction)<<16, s.Device, s.Peer, s.NetNS}
	slot := &p.recent[i%recentPlaces]
	if slot.row == nil || slot.key != key {
		r, ok := p.known[key]
		if !ok {
			r = p.find(placeOf(s, parent), s.End)
			p.learn(key, r)
		}
		slot.key, slot.row = key, r
	}
	slot.row.used = s.End
	slot.row.times.observe(s.Duration())
}

func placeOf(s *trace.Span, parent trace.Kind) place {
	p := place{kind: s.Kind, parent: parent, direction: s.Direction, bridge: s.Bridge()}
	if s.NetNS != nil {
		p.netns = s.NetNS.Name
	}
	if s.Device != nil {
		p.device = s.Device.Name
	}
	if s.Peer != nil {
		p.peer = s.Peer.Name
	}
	return p
}

// learn remembers the row of a key. There may be far more keys than rows; then all are
// forgotten, and those in use are learnt again.
func (p *places) learn(key placeKey, r *row) {
	if len(p.known) >= 4*p.max {
		p.forget()
	}
	p.known[key] = r
}

// forget lets go of all devices.
func (p *places) forget() {
	clear(p.known)
	clear(p.recent[:])
}

// find returns the row of a place, or that of the rest.
func (p *places) find(at place, now int64) *row {
	if r, ok := p.rows[at]; ok {
		return r
	}
	if len(p.rows) >= p.max && now >= p.sweepAt {
		p.sweep(now)
	}
	if len(p.rows) >= p.max {
		return &p.rest
	}
	r := &row{place: at}
	p.rows[at] = r
	return r
}

// sweep adds the rows that are no longer used to the rest.
func (p *places) sweep(now int64) {
	p.sweepAt = now + sweepPause
	for at, r := range p.rows {
		if r.used < now-idlePlace {
			p.rest.times.add(&r.times)
			delete(p.rows, at)
		}
	}
	p.forget()
}

// shown returns the row as it is shown.
func (r *row) shown() api.Device {
	at := r.place
	d := api.Device{
		NetNS: at.netns, Kind: at.kind.String(), Device: at.device, Peer: at.peer, Bridge: at.bridge,
		Direction: at.direction.String(), Times: r.times.times(),
	}
	if at.parent != 0 {
		d.Parent = at.parent.String()
	}
	return d
}

// all lists the rows, without that of the rest.
func (p *places) all() []*row { return slices.Collect(maps.Values(p.rows)) }

// sortDevices orders rows by their names.
func sortDevices(list []api.Device) {
	slices.SortFunc(list, func(a, b api.Device) int {
		return cmp.Or(
			cmp.Compare(a.NetNS, b.NetNS), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Peer, b.Peer),
			cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Bridge, b.Bridge),
		)
	})
}
