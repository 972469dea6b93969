// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"time"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

const (
	// unapprovedShare is which part of the time that others may be idle a flow may be that was never
	// approved; fullShare which part of it remains of that once half of a tenant's share is used.
	unapprovedShare = 4
	fullShare       = 4
	// idleWhenFull is how long a flow may be idle whose tenant has used three quarters of its share.
	idleWhenFull = 3 * time.Second
)

// pressure is how full the share of one tenant is, while a sweep looks for what may go.
type pressure struct {
	// limit is how long a flow may be idle.
	limit time.Duration
	// excess is how many flows have to go until less than three quarters of the share are used.
	excess int
	// spare are flows that have been idle for longer than idleWhenFull, but not for limit: they go only
	// if what else goes is not enough.
	spare []victim
}

// pressures are those of all tenants, by slot.
type pressures [MaxTenants]pressure

// pressures reads how full the tenants' shares are.
func (b *Bypass) pressures(idle time.Duration) (*pressures, error) {
	tenants, err := b.readTenants()
	if err != nil {
		return nil, err
	}
	usage, err := b.Usage()
	if err != nil {
		return nil, err
	}
	var all pressures
	for slot := range all {
		p, capacity, used := &all[slot], int(tenants[slot].Capacity), usage[uint16(slot)]
		p.limit = idle
		if capacity == 0 {
			continue
		}
		const parts = 4
		if parts*used >= 2*capacity {
			p.limit = idle / fullShare
		}
		p.excess = used - (parts-1)*capacity/parts + 1
	}
	return &all, nil
}

// goes reports whether a flow goes at any rate, and notes it if it may go as well.
func (all *pressures) goes(f *flow.Flow) bool {
	p := &all[f.Slot%MaxTenants]
	limit := p.limit
	unapproved := f.Approval == 0 && f.Denied == flow.Fast
	if unapproved {
		limit /= unapprovedShare
		if p.excess > 0 {
			limit = min(limit, idleWhenFull)
		}
	}
	switch {
	case f.Ended != flow.Fast || f.Idle >= limit:
		p.excess--
		return true
	case p.excess > 0 && f.Idle >= idleWhenFull:
		p.spare = append(p.spare, victim{key: f.Key, id: f.ID})
	}
	return false
}

// more returns the flows that go because what goes at any rate is not enough.
func (all *pressures) more() (victims []victim) {
	for slot := range all {
		if p := &all[slot]; p.excess > 0 {
			victims = append(victims, p.spare[:min(p.excess, len(p.spare))]...)
		}
	}
	return victims
}
