// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// putInForce tells the programs of a view, and makes the judge who goes with it. It must be called
// with the lock.
func (m *Manager) putInForce(p programs, next view) error {
	if err := m.clearSlots(p); err != nil {
		return err
	}
	old := m.view
	anew := !slices.EqualFunc(old.tenants, next.tenants, sameMode)
	m.gate.concern(next.concerns()) // before anything is learnt at a new device
	if err := p.SetTenants(next.tenants); err != nil {
		return fmt.Errorf("saying which tenants there are: %w", err)
	}
	if !m.attached || !slices.Equal(old.devices, next.devices) || !allThere(p, next.devices) {
		// One device that cannot have the programs is no reason to stop the others.
		err := errors.Join(p.SetTunnels(next.tunnelPort()), p.SetDevices(next.devices))
		m.attached = err == nil
		m.problem("devices", err)
	}
	m.view = next
	m.renewJudge(p, anew)
	return nil
}

// sameMode reports whether what was approved for a tenant is still right.
func sameMode(a, b bypass.Tenant) bool {
	return a.Slot == b.Slot && a.Number == b.Number && a.Mode == b.Mode
}

// allThere reports whether all devices have the programs: somebody may have detached one.
func allThere(p programs, devices []bypass.Device) bool {
	there, err := p.Attached()
	if err != nil {
		return false
	}
	for _, d := range devices {
		is := func(a bypass.AttachedDevice) bool { return a.Index == d.Index && a.Egress && (a.Ingress || d.Tunnel) }
		if !slices.ContainsFunc(there, is) {
			return false
		}
	}
	return true
}

// clearSlots forgets what there is of those who had the slots before.
func (m *Manager) clearSlots(p programs) error {
	if len(m.fresh) == 0 {
		return nil
	}
	now, err := p.Counts()
	if err != nil {
		return fmt.Errorf("reading counts: %w", err)
	}
	for slot := range m.fresh {
		if _, err := p.Flush(slot); err != nil {
			return fmt.Errorf("forgetting flows of a tenant that is gone: %w", err)
		}
		m.meter.begin(slot, now)
		m.tally.forget(slot)
	}
	clear(m.fresh)
	return nil
}

// renewJudge makes a new judge. If it decides as the one before, what was decided stays.
func (m *Manager) renewJudge(p programs, anew bool) {
	v := &m.view
	numbers := map[uint16]uint32{}
	next := &judge{modes: map[uint16]flow.Mode{}, ports: map[int]uint16{}, blocked: map[uint16]string{}}
	for _, d := range v.devices {
		if d.Port {
			next.ports[d.Index] = d.Slot
		}
	}
	for i, t := range v.tenants {
		numbers[t.Slot] = t.Number
		next.modes[t.Slot] = t.Mode
		if why := v.why(v.active[i]); why != "" {
			next.blocked[t.Slot] = why
		}
	}
	next.policy = m.faces.policy(approval.Inputs{Foreign: v.foreign, Host: v.host, Slots: numbers, Firewall: m.options.Firewall})
	before := m.judge.Load()
	if before == nil || anew || !before.same(next, m.faces.equal) {
		m.judge.Store(nil) // nobody approves with the old one any more
		p.NewApproval()
		m.details.renew()
	}
	next.number = p.Approval() // SetDevices may have raised it
	m.judge.Store(next)
}

// closePrograms must be called with the lock.
func (m *Manager) closePrograms() error {
	p := m.programs
	if p == nil {
		return nil
	}
	m.gate.end()
	m.judge.Store(nil)
	m.queue.clear()
	if now, err := p.Counts(); err == nil {
		m.meter.end(now)
	}
	m.programs, m.attached = nil, false
	return errors.Join(p.Rest(), p.Close())
}
