// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"slices"

	"github.com/dwelltrace/dwell/fastpath/bypass"
)

// slots are the numbers that tenants have in the programs' tables. A tenant keeps its own as long
// as the process lives, even while it is not there: its number is another's only if there is no
// other left.
type slots struct {
	of map[string]uint16
	by [bypass.MaxTenants]string
}

func newSlots() *slots { return &slots{of: map[string]uint16{}} }

// assign gives each tenant, in this order, a number. It returns the numbers that had not been the
// tenant's, and the tenants for which there is none.
func (s *slots) assign(ids []string) (fresh []uint16, without []string) {
	for _, id := range ids {
		if s.of[id] != 0 {
			continue
		}
		slot := s.room(ids)
		if slot == 0 {
			without = append(without, id)
			continue
		}
		delete(s.of, s.by[slot])
		s.of[id], s.by[slot] = slot, id
		fresh = append(fresh, slot)
	}
	return fresh, without
}

// room returns a number that nobody has had or, if there is none, one of somebody who is not
// there, or 0.
func (s *slots) room(present []string) uint16 {
	for slot := uint16(1); slot < bypass.MaxTenants; slot++ {
		if s.by[slot] == "" {
			return slot
		}
	}
	for slot := uint16(1); slot < bypass.MaxTenants; slot++ {
		if !slices.Contains(present, s.by[slot]) {
			return slot
		}
	}
	return 0
}
