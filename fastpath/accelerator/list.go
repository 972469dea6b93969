// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// beyond is what a tenant is told of another tenant's port.
const beyond = "beyond"

// pair is a flow: one direction as it is known, and the other if it is.
type pair struct{ forth, back *flow.Flow }

func (p *pair) packets() (n uint64) {
	for _, f := range []*flow.Flow{p.forth, p.back} {
		if f != nil {
			n += f.Fast + f.Slow
		}
	}
	return n
}

// Flows lists flows of all tenants or of one, those with the most packets first, at most as many as said
// (0: all).
func (m *Manager) Flows(_ context.Context, q Query, limit int) (*FlowList, error) {
	lister, pairs, err := m.pairs(q, func(*flow.Flow) bool { return true })
	if err != nil {
		return nil, err
	}
	list := &FlowList{Flows: []FlowListing{}}
	for _, p := range pairs {
		if limit > 0 && len(list.Flows) == limit {
			list.Left++
			continue
		}
		list.Flows = append(list.Flows, lister.flow(p))
	}
	return list, nil
}

// pairs returns the flows of which the function wants an entry, those with the most packets first.
func (m *Manager) pairs(q Query, wants func(*flow.Flow) bool) (*lister, []pair, error) {
	m.mu.Lock()
	if err := m.check(q); err != nil {
		m.mu.Unlock()
		return nil, nil, err
	}
	l, p := m.newLister(q), m.programs
	m.mu.Unlock()
	if p == nil {
		return l, nil, nil
	}
	entries := map[flow.Key]*flow.Flow{}
	err := p.Flows(func(f *flow.Flow) bool {
		if l.sees(f) {
			own := *f
			entries[f.Key] = &own
		}
		return true
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading flows: %w", err)
	}
	pairs := l.pairUp(entries, wants)
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.packets(), a.packets()), cmp.Compare(a.forth.ID, b.forth.ID))
	})
	return l, pairs, nil
}

// pairUp finds the two directions of each flow.
func (l *lister) pairUp(entries map[flow.Key]*flow.Flow, wants func(*flow.Flow) bool) []pair {
	var pairs []pair
	done := map[flow.Key]bool{}
	for key, f := range entries {
		if done[key] {
			continue
		}
		p := pair{forth: f, back: entries[f.Back()]}
		if p.back == f || p.back != nil && done[p.back.Key] {
			p.back = nil
		}
		if !l.from(p.forth) && p.back != nil && l.from(p.back) || l.from(p.forth) && p.back != nil && l.from(p.back) && p.back.ID < p.forth.ID {
			p.forth, p.back = p.back, p.forth // it begins at the tenant's port
		}
		done[p.forth.Key] = true
		if p.back != nil {
			done[p.back.Key] = true
		}
		if wants(p.forth) || p.back != nil && wants(p.back) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// lister describes flows to somebody, by what was known at one moment.
type lister struct {
	q        Query
	mine     uint16 // the slot of the tenant about whom it is asked, 0 for all
	names    map[int]string
	ports    map[int]uint16 // slots by index of device
	tenants  map[uint16]string
	blocked  map[int]string // why nothing is fast by a device
	modes    map[uint16]flow.Mode
	why      map[uint16]string // why nothing of a tenant is fast
	approval uint32
	details  *details
	redact   func(string) string
	// stopped is why nothing at all is fast, or Fast.
	stopped flow.Reason
}

// newLister must be called with the lock.
func (m *Manager) newLister(q Query) *lister {
	l := &lister{
		q: q, mine: m.slots.of[q.Tenant], names: map[int]string{}, ports: map[int]uint16{}, tenants: map[uint16]string{},
		blocked: map[int]string{}, modes: map[uint16]flow.Mode{}, why: map[uint16]string{}, details: &m.details,
		redact: func(text string) string {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.redact(q, text)
		},
	}
	if m.programs != nil {
		l.approval = m.programs.Approval()
	}
	if m.view.facts != nil {
		for _, d := range m.view.facts.Devices {
			l.names[d.Index] = d.Name
			if d.Blocked != "" {
				l.blocked[d.Index] = d.Blocked
			}
		}
	}
	for _, d := range m.view.devices {
		if d.Port {
			l.ports[d.Index] = d.Slot
		}
	}
	for i, t := range m.view.tenants {
		l.tenants[t.Slot], l.modes[t.Slot] = m.view.active[i], t.Mode
		if why := m.view.why(m.view.active[i]); why != "" {
			l.why[t.Slot] = why
		}
	}
	switch {
	case !m.attended():
		l.stopped = flow.Unattended
	case m.gate.isHeld():
		l.stopped = flow.Held
	}
	return l
}

// sees reports whether an entry is about a flow of whom it is asked about.
func (l *lister) sees(f *flow.Flow) bool {
	if l.q.Tenant == "" {
		return true
	}
	return l.mine != 0 && (f.Slot == l.mine || f.Other == l.mine)
}

// from reports whether an entry is of packets that come from a tenant, or from the one who is
// asked about.
func (l *lister) from(f *flow.Flow) bool {
	slot := l.ports[f.Key.IfIndex]
	return slot != 0 && (l.mine == 0 || slot == l.mine)
}

// hidden reports whether a device is another tenant's port, of which the tenant who asks is told
// nothing.
func (l *lister) hidden(index int) bool {
	slot := l.ports[index]
	return !l.q.Operator && slot != 0 && slot != l.mine
}

// device returns a device's name.
func (l *lister) device(index int) string {
	if l.hidden(index) {
		return beyond
	}
	if name := l.names[index]; name != "" {
		return name
	}
	return fmt.Sprintf("device %d", index)
}

// flow describes a flow.
func (l *lister) flow(p pair) FlowListing {
	f := FlowListing{Tenant: l.q.Tenant, Forth: l.direction(p.forth), State: StateLearning}
	if f.Tenant == "" {
		f.Tenant = l.tenants[p.forth.Slot]
	}
	if p.back == nil {
		f.State = worse(f.State, f.Forth.State)
		return f
	}
	f.Back = l.direction(p.back)
	f.State = worse(f.Forth.State, f.Back.State)
	return f
}

// worse returns the state that is further from being fast.
func worse(a, b string) string {
	order := []string{StateFast, StateRenewing, StateShadow, StateLearning, StateEnded, StateRefused, StateStopped}
	if slices.Index(order, a) > slices.Index(order, b) {
		return a
	}
	return b
}

// direction describes one direction of a flow. What another tenant's port has of it, before or
// after, is not this tenant's to know.
func (l *lister) direction(f *flow.Flow) *DirectionListing {
	d := &DirectionListing{
		In: l.device(f.Key.IfIndex), Out: l.device(f.Rewrite.Out), Routed: f.Rewrite.Routed,
		Last: f.Last.String(), Lease: f.Lease, Idle: f.Idle, Agreed: f.Agreed, Longest: f.Longest,
		Fast: f.Fast, Bytes: f.Bytes, Slow: f.Slow,
	}
	state, reason, detail := l.state(f)
	d.State, d.Reason, d.Detail = state, reason.String(), l.redact(sentence(detail))
	if l.hidden(f.Key.IfIndex) {
		d.Packet, d.ID = packetOf(f.Rewrite.After)
		return d
	}
	d.Packet, d.ID = packetOf(f.Key.Tuple)
	d.VNI = f.Key.VNI
	if l.hidden(f.Rewrite.Out) {
		return d
	}
	if f.Rewrite.After != f.Key.Tuple {
		d.After, _ = packetOf(f.Rewrite.After)
	}
	if f.Rewrite.NextHop.IsValid() {
		d.NextHop = f.Rewrite.NextHop.String()
	} else {
		d.Dst, d.Src = net.HardwareAddr(f.Rewrite.Dst[:]).String(), net.HardwareAddr(f.Rewrite.Src[:]).String()
	}
	return d
}

// state says what becomes of an entry's next packet, and why, as the programs decide it.
func (l *lister) state(f *flow.Flow) (state string, r flow.Reason, detail string) {
	slots := []uint16{f.Slot}
	if f.Other != 0 {
		slots = append(slots, f.Other)
	}
	mode := flow.On
	for _, slot := range slots {
		mode = min(mode, l.modes[slot])
		if l.why[slot] != "" {
			detail = l.why[slot]
		}
	}
	for _, index := range []int{f.Key.IfIndex, f.Rewrite.Out} {
		if l.blocked[index] != "" && detail == "" {
			detail = l.blocked[index]
		}
	}
	switch {
	case mode == flow.Off:
		return StateStopped, flow.ModeOff, ""
	case l.stopped != flow.Fast:
		return StateStopped, l.stopped, ""
	case detail != "":
		return StateStopped, flow.Device, detail
	case f.Ended != flow.Fast:
		return StateEnded, f.Ended, ""
	case f.Approval == l.approval && f.Denied != flow.Fast:
		return StateRefused, f.Denied, l.details.text(f.Detail)
	case f.Agreed < agreed:
		return StateLearning, flow.Unconfirmed, ""
	case f.Approval != l.approval:
		return StateLearning, flow.Unapproved, ""
	case f.Lease <= 0:
		return StateRenewing, flow.Lease, ""
	case f.Changed:
		return StateRenewing, flow.Changed, ""
	case mode == flow.Shadow:
		return StateShadow, flow.ModeShadow, ""
	}
	return StateFast, flow.Fast, ""
}
