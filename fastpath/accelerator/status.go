// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// reading is what the programs said at one moment.
type reading struct {
	counts   map[countKey]CountStats
	usage    map[uint16]int
	attached map[int]bool
	unasked  uint64
	err      error
}

// read asks the programs. It must be called with the lock.
func (m *Manager) read() reading {
	r := reading{attached: map[int]bool{}}
	if m.programs == nil {
		r.counts = m.counts(nil)
		return r
	}
	counts, err := m.programs.Counts()
	r.counts = m.counts(counts)
	usage, errUsage := m.programs.Usage()
	attached, errAttached := m.programs.Attached()
	unasked, errUnasked := m.programs.Unasked()
	r.usage, r.unasked = usage, unasked
	for _, a := range attached {
		r.attached[a.Index] = a.Egress && (a.Ingress || a.Tunnel)
	}
	for _, e := range []error{err, errUsage, errAttached, errUnasked} {
		if e != nil {
			r.err = e
		}
	}
	return r
}

// counts adds what came of packets that were in doubt to what the programs have counted. It must be called with the lock.
func (m *Manager) counts(now []bypass.Counts) map[countKey]CountStats {
	all := m.meter.read(now)
	for k, c := range m.tally.doubted() {
		all[k] = all[k].plus(c)
	}
	return all
}

// check returns an error if there is nothing to say about whom it is asked. It must be called with
// the lock.
func (m *Manager) check(q Query) error {
	if q.Tenant == "" && q.Operator {
		return nil
	}
	if m.set == nil || !m.set.Has(q.Tenant) {
		return fmt.Errorf("%w: %q", ErrNoTenant, q.Tenant)
	}
	return nil
}

// asked returns the tenants about whom it is asked, in order.
func (m *Manager) asked(q Query) []string {
	if q.Tenant != "" {
		return []string{q.Tenant}
	}
	if m.set == nil {
		return nil
	}
	return slices.Sorted(slices.Values(m.set.IDs()))
}

// Status says how the fast path is, for all tenants or for one.
func (m *Manager) Status(_ context.Context, q Query) (*Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(q); err != nil {
		return nil, err
	}
	g, r := m.gate.state(), m.read()
	s := &Status{
		Supported: m.unsupported == "", Unsupported: m.unsupported,
		Attended: m.attended(), Beat: max(0, since(&m.heart.beat)),
		Held: m.programs != nil && g.held, HeldFor: g.since, HeldBecause: m.redact(q, sentence(g.because)),
		Tenants: []TenantStatus{}, Devices: m.deviceStatus(q, r),
	}
	for _, id := range m.asked(q) {
		s.Tenants = append(s.Tenants, m.tenantStatus(q, id, r))
	}
	for _, about := range slices.Sorted(maps.Keys(m.problems)) {
		s.Problems = append(s.Problems, m.redact(q, m.problems[about]))
	}
	if r.err != nil {
		s.Problems = append(s.Problems, sentence(fmt.Sprintf("counts cannot be read: %v", r.err)))
	}
	return s, nil
}

// attended reports whether the programs believe that somebody is there. It must be called with the
// lock.
func (m *Manager) attended() bool {
	ago := since(&m.heart.beat)
	return m.session != nil && ago >= 0 && ago < believedFor
}

// beginning reports whether nothing is fast only because Run has not had time yet to make it so. It
// must be called with the lock.
func (m *Manager) beginning() bool {
	return !m.attended() && (m.began.IsZero() || time.Since(m.began) < beginsWithin)
}

// mode returns a tenant's mode. It must be called with the lock.
func (m *Manager) mode(id string) flow.Mode {
	if m.down {
		return flow.Off
	}
	return m.modes[id]
}

func (m *Manager) tenantStatus(q Query, id string, r reading) TenantStatus {
	t := TenantStatus{Tenant: id, Mode: m.mode(id), Slot: m.slots.of[id], Capacity: m.capacity()}
	t.From, t.To = CountStats{}.words(), CountStats{}.words()
	if t.Mode == flow.Off {
		t.Slot, t.Capacity = 0, 0
	}
	if slot := m.slots.of[id]; slot != 0 {
		t.Flows = r.usage[slot]
		t.From, t.To = r.counts[countKey{slot, flow.FromTenant}].words(), r.counts[countKey{slot, flow.ToTenant}].words()
		d := m.tally.of(slot)
		t.Approved, t.Refused = d.approved, byWord(d.refused)
		t.Waiting, t.Dropped = m.queue.of(slot)
	}
	for _, text := range m.blocked(id) {
		t.Blocked = append(t.Blocked, m.redact(q, text))
	}
	for _, text := range m.tenantProblems(id, r) {
		t.Problems = append(t.Problems, m.redact(q, text))
	}
	if text := m.less(); text != "" && t.Mode != flow.Off {
		t.Problems = append(t.Problems, text)
	}
	return t
}

// blocked says why nothing of a tenant that has a fast path is fast. It must be called with the
// lock.
func (m *Manager) blocked(id string) []string {
	if m.mode(id) == flow.Off {
		return nil
	}
	var all []string
	if m.unsupported != "" {
		return []string{m.unsupported}
	}
	if slices.Contains(m.without, id) {
		return []string{fmt.Sprintf("There are more than %d tenants with a fast path: turn it off for another.", bypass.MaxTenants-1)}
	}
	switch {
	case m.beginning():
		all = append(all, "Nothing is fast yet, because the agent has just begun to look at the host.")
	case !m.attended():
		all = append(all, "Nothing is fast, because the agent does not follow the host's changes now.")
	}
	if why := m.view.why(id); why != "" {
		all = append(all, sentence(why))
	}
	if m.view.facts != nil && !m.hasPort(id) {
		all = append(all, "The tenant has no port on this host.")
	}
	return all
}

// wrong says what is not as it should be with a tenant's fast path. That the agent has just begun is
// as it should be. It must be called with the lock.
func (m *Manager) wrong(id string, r reading) []string {
	if m.beginning() {
		return m.tenantProblems(id, r)
	}
	return append(m.blocked(id), m.tenantProblems(id, r)...)
}

func (m *Manager) hasPort(id string) bool {
	for _, d := range m.view.facts.Devices {
		if d.Port && d.Tenant == id {
			return true
		}
	}
	return false
}

// tenantProblems must be called with the lock.
func (m *Manager) tenantProblems(id string, r reading) []string {
	if m.mode(id) == flow.Off || m.view.facts == nil {
		return nil
	}
	var all []string
	for _, d := range m.view.facts.Devices {
		if !d.Port || d.Tenant != id {
			continue
		}
		if d.Blocked != "" {
			all = append(all, fmt.Sprintf("Nothing is fast by port %s: %s", d.Name, sentence(d.Blocked)))
		}
		if m.programs != nil && !r.attached[d.Index] {
			all = append(all, fmt.Sprintf("Port %s has no programs, so that nothing is fast there.", d.Name))
		}
	}
	slot := m.slots.of[id]
	if n := r.usage[slot]; slot != 0 && n >= m.capacity() {
		all = append(all, fmt.Sprintf("The tenant has %d entries, which is all that it may have: further flows stay slow.", n))
	}
	for _, d := range []flow.Direction{flow.FromTenant, flow.ToTenant} {
		if n := r.counts[countKey{slot, d}].Differ; slot != 0 && n > 0 {
			all = append(all, fmt.Sprintf("The kernel treated %d packets %s the tenant in another way than was foretold, which must not be.", n, d))
		}
	}
	return all
}

// deviceStatus must be called with the lock.
func (m *Manager) deviceStatus(q Query, r reading) []DeviceStatus {
	list := []DeviceStatus{}
	if m.view.facts == nil {
		return list
	}
	for _, d := range m.view.facts.Devices {
		mine := d.Port && m.mode(d.Tenant) != flow.Off && (q.Tenant == "" || d.Tenant == q.Tenant)
		if d.Port && !mine {
			continue
		}
		s := DeviceStatus{Name: d.Name, Index: d.Index, Attached: r.attached[d.Index], Blocked: m.redact(q, sentence(d.Blocked)), Peer: d.Peer}
		if d.Port {
			s.Tenant = d.Tenant
		} else if !q.Operator && d.Blocked != "" {
			s.Blocked = sentence(flow.Device.Text()) // what the operator has there is not the tenant's business
		}
		list = append(list, s)
	}
	return list
}

// Stats returns counts for metrics.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, r := m.gate.state(), m.read()
	s := Stats{
		Supported: m.unsupported == "", Attended: m.attended(), Held: m.programs != nil && g.held, HeldTime: g.total,
		Changes: g.counts, Unasked: r.unasked, Swept: m.tally.sweepings(), Unwatched: m.unwatched, Problems: len(m.problems),
		Nobody: r.counts[countKey{0, flow.ToTenant}].plus(r.counts[countKey{0, flow.FromTenant}]),
	}
	for _, d := range m.view.devices {
		if d.Blocked {
			s.Blocked++
		}
		if !r.attached[d.Index] {
			s.Unattached++
		}
	}
	for _, id := range m.asked(Query{Operator: true}) {
		slot := m.slots.of[id]
		t := TenantStats{Tenant: id, Mode: m.mode(id)}
		if slot != 0 {
			d := m.tally.of(slot)
			t.Flows, t.Capacity, t.Approved, t.Refused = r.usage[slot], m.capacity(), d.approved, d.refused
			t.From, t.To = r.counts[countKey{slot, flow.FromTenant}], r.counts[countKey{slot, flow.ToTenant}]
			_, t.PutOff = m.queue.of(slot)
		}
		t.Problems = len(m.wrong(id, r))
		s.Tenants = append(s.Tenants, t)
	}
	return s
}

// Summary returns what there is to say in a line.
func (m *Manager) Summary() Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s Summary
	r := m.read()
	for _, about := range slices.Sorted(maps.Keys(m.problems)) {
		s.Problems = append(s.Problems, m.problems[about])
	}
	for _, id := range m.asked(Query{Operator: true}) {
		switch m.mode(id) {
		case flow.On:
			s.On++
		case flow.Shadow:
			s.Shadow++
		case flow.Off:
			continue
		}
		s.Flows += r.usage[m.slots.of[id]]
		for _, p := range m.wrong(id, r) {
			s.Problems = append(s.Problems, id+": "+p)
		}
	}
	return s
}

// Flush forgets the flows of all tenants or of one, and returns how many entries there were. They
// are learnt anew.
func (m *Manager) Flush(_ context.Context, q Query) (int, error) {
	m.mu.Lock()
	err := m.check(q)
	p, slot := m.programs, m.slots.of[q.Tenant]
	m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if p == nil || q.Tenant != "" && slot == 0 {
		return 0, nil
	}
	return p.Flush(slot)
}
