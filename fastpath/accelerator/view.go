// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/bystanders"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// view is what was read of the host, and what follows from it. It is not modified.
type view struct {
	set     *tenant.Set
	host    *scope.Host
	facts   *bystanders.Facts
	foreign *premises.Foreign
	// active are the tenants that have a fast path and a slot.
	active  []string
	tenants []bypass.Tenant
	devices []bypass.Device
}

// reader makes a view from an older one.
type reader struct {
	set      *tenant.Set
	modes    map[string]flow.Mode
	slots    map[string]uint16
	active   []string
	capacity int
	room     int
	old      view
	// alive is called now and then, because reading may take long.
	alive func()
}

// readerOf must be called with the lock.
func (m *Manager) readerOf(active []string) *reader {
	fresh, without := m.slots.assign(active)
	for _, slot := range fresh {
		m.fresh[slot] = true
	}
	m.without = without
	r := &reader{
		set: m.set, modes: m.modes, slots: maps.Clone(m.slots.of), capacity: m.options.Capacity, room: m.room, old: m.view,
		alive:  func() { m.heart.sign(&m.heart.loop) },
		active: slices.DeleteFunc(slices.Clone(active), func(id string) bool { return slices.Contains(without, id) }),
	}
	return r
}

// read reads what is dirty.
func (r *reader) read(ctx context.Context, f *faces, d dirt) (view, error) {
	v := r.old
	v.set, v.active = r.set, r.active
	if d&(dirtyDevices|dirtyTenants) != 0 || v.host == nil {
		h, err := f.host(r.set)
		if err != nil {
			return v, fmt.Errorf("reading the host's devices: %w", err)
		}
		r.alive()
		facts, err := f.facts(ctx, h)
		if err != nil {
			return v, fmt.Errorf("reading what others have at devices: %w", err)
		}
		v.host, v.facts = h, facts
	}
	v.devices = r.devices(v.facts)
	r.alive()
	if d&dirtyRules != 0 || v.foreign == nil || !slices.Equal(r.old.devices, v.devices) { // settings of a new port are rules
		rules, err := f.rules(ctx)
		if err != nil {
			return v, fmt.Errorf("reading the host's rules: %w", err)
		}
		v.foreign = rules
	}
	v.tenants = r.tenants(shareOf(r.capacity, r.room, v.devices))
	return v, nil
}

func (r *reader) tenants(capacity int) []bypass.Tenant {
	list := make([]bypass.Tenant, 0, len(r.active))
	for _, id := range r.active {
		list = append(list, bypass.Tenant{Slot: r.slots[id], Number: r.set.Number(id), Mode: r.modes[id], Capacity: capacity})
	}
	return list
}

// devices returns the ports of tenants that have a fast path, the NICs and the tunnels.
func (r *reader) devices(facts *bystanders.Facts) []bypass.Device {
	var list []bypass.Device
	for _, d := range facts.Devices {
		if d.Port && !slices.Contains(r.active, d.Tenant) {
			continue
		}
		device := bypass.Device{
			Index: d.Index, Name: d.Name, Port: d.Port, Master: d.Master, Blocked: d.Blocked != "",
			Peer: d.Peer, PeerNetNS: d.PeerNetNS, PeerIndex: d.PeerIndex,
		}
		if d.Port {
			device.Slot = r.slots[d.Tenant]
		}
		list = append(list, device)
	}
	for _, t := range facts.Tunnels {
		list = append(list, bypass.Device{Index: t.Index, Name: t.Name, Tunnel: true})
	}
	return list
}

// tunnelPort returns the UDP port of the host's tunnels, or 0.
func (v *view) tunnelPort() uint16 {
	if v.facts == nil || len(v.facts.Tunnels) == 0 {
		return 0
	}
	return v.facts.Tunnels[0].Port
}

// sameDevices reports whether the programs would be at the same devices, with the same ones
// blocked, and for the same reasons.
func (v *view) sameDevices(o view) bool {
	if v.facts == nil || o.facts == nil {
		return v.facts == o.facts
	}
	return slices.Equal(v.devices, o.devices) && v.facts.Blocked == o.facts.Blocked && maps.Equal(v.facts.Tenants, o.facts.Tenants)
}

// why returns why no flow of the tenant may be fast because of devices, or "".
func (v *view) why(id string) string {
	if v.facts == nil {
		return ""
	}
	return v.facts.Why(id)
}

// concerns returns the slots by device and by tenant's number. Devices are nil if it is not known which there are.
func (v *view) concerns() (devices map[int]uint16, tenants map[uint32]uint16) {
	devices, tenants = map[int]uint16{}, map[uint32]uint16{}
	for _, t := range v.tenants {
		tenants[t.Number] = t.Slot
	}
	if v.facts.Near == nil {
		return nil, tenants
	}
	for index, near := range v.facts.Near {
		devices[index] = nobody
		if near {
			devices[index] = anybody
		}
	}
	for _, st := range v.host.Tenants {
		slot := tenants[st.Number]
		if slot == 0 {
			slot = nobody
		}
		for _, d := range st.Devices {
			devices[d.Index] = slot
		}
		for _, p := range st.Ports {
			devices[p.Index] = slot
		}
	}
	for _, d := range v.devices {
		if d.Port {
			devices[d.Index] = d.Slot
		}
	}
	return devices, tenants
}
