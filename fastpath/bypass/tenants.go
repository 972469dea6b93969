// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// isSlot reports whether a number is that of a tenant's place.
func isSlot(slot uint16) bool { return slot != 0 && slot < MaxTenants }

// SetTenants says which tenants there are. Those that are not listed are off. If a slot is another
// tenant's than before, the old one's flows are removed, and its counts begin anew.
func (b *Bypass) SetTenants(list []Tenant) error {
	b.change.Lock()
	defer b.change.Unlock()
	next, err := tenantsBySlot(list)
	if err == nil {
		err = b.setTenants(&next)
	}
	if err != nil {
		return fmt.Errorf("set the fast path's tenants: %w", explain(err))
	}
	return nil
}

// tenantsBySlot checks a list of tenants.
func tenantsBySlot(list []Tenant) (by [MaxTenants]plainTenant, err error) {
	used := map[uint16]bool{}
	for _, t := range list {
		switch {
		case !isSlot(t.Slot):
			return by, fmt.Errorf("slot %d is not a valid one: it must be from 1 to %d", t.Slot, MaxTenants-1)
		case used[t.Slot]:
			return by, fmt.Errorf("slot %d is given twice", t.Slot)
		case t.Mode > flow.On:
			return by, fmt.Errorf("%v is not a valid mode", t.Mode)
		case t.Capacity < 0 || t.Capacity > math.MaxInt32:
			return by, fmt.Errorf("%d is not a valid number of flows", t.Capacity)
		}
		used[t.Slot] = true
		by[t.Slot] = plainTenant{Mode: uint32(t.Mode), Number: t.Number, Capacity: uint32(t.Capacity)}
	}
	return by, nil
}

func (b *Bypass) setTenants(next *[MaxTenants]plainTenant) error {
	before, err := b.readTenants()
	if err != nil {
		return err
	}
	for slot := 1; slot < MaxTenants; slot++ {
		was, is := &before[slot], &next[slot]
		if *was == *is {
			continue
		}
		if was.Number != is.Number && was.Number != 0 {
			if err := b.evict(uint16(slot)); err != nil {
				return err
			}
		}
		if err := b.putTenant(uint16(slot), is); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bypass) readTenants() ([]plainTenant, error) {
	release, err := b.use()
	if err != nil {
		return nil, err
	}
	defer release()
	var cursor ebpf.MapBatchCursor
	keys, all := make([]uint32, MaxTenants), make([]plainTenant, MaxTenants)
	if n, err := b.maps[plainMapTenants].BatchLookup(&cursor, keys, all, nil); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, err
	} else if n != MaxTenants {
		return nil, fmt.Errorf("%d of %d tenants were read", n, MaxTenants)
	}
	return all, nil
}

func (b *Bypass) putTenant(slot uint16, t *plainTenant) error {
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	return b.maps[plainMapTenants].Put(uint32(slot), t)
}

// evict takes everything that is a tenant's from a slot.
func (b *Bypass) evict(slot uint16) error {
	if err := b.putTenant(slot, &plainTenant{}); err != nil {
		return err
	}
	b.Changed(slot)
	if _, err := b.Flush(slot); err != nil {
		return err
	}
	release, err := b.use()
	if err != nil {
		return err
	}
	defer release()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	for direction := range directions {
		if err := b.maps[plainMapCounts].Put(uint32(slot)*directions+direction, make([]plainCount, cpus)); err != nil {
			return err
		}
	}
	return nil
}
