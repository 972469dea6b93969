// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/bypass"
)

// Bounds of the tables, in entries of each family, of which one takes some 450 bytes: from 60 MB for both
// families to 480 MB. The kernel takes that memory when the tables are made.
const (
	leastRoom = 1 << 16
	mostRoom  = 1 << 19
)

// roomFor returns how many entries of each family the tables are made for, so that all tenants can have what
// they may have, if that is not too much. It is a power of two, so that another tenant does not change it each
// time that the agent begins: with other tables, counts begin anew.
func roomFor(tenants, capacity int) int {
	room := leastRoom
	for room < mostRoom && room/max(tenants, 1) < capacity {
		room *= 2
	}
	return room
}

// shareOf returns how many entries each of the tenants that have a port may have: what was asked for, or an
// equal part of the tables if they are too small. So the full table of one leaves no other without room, whatever
// family the entries are of.
func shareOf(asked, room int, devices []bypass.Device) int {
	slots := map[uint16]bool{}
	for _, d := range devices {
		if d.Port {
			slots[d.Slot] = true
		}
	}
	return max(1, min(asked, room/max(len(slots), 1)))
}

// capacity returns how many entries each tenant may have. It must be called with the lock.
func (m *Manager) capacity() int {
	if len(m.view.tenants) == 0 {
		return m.options.Capacity
	}
	return m.view.tenants[0].Capacity
}

// less says that a tenant may have less than was asked for, or returns "". It must be called with the lock.
func (m *Manager) less() string {
	now := m.capacity()
	if now >= m.options.Capacity {
		return ""
	}
	return fmt.Sprintf("The tenant may have %d entries in place of %d, because the tables have no room for so many of each tenant: "+
		"start the agent again to have larger ones if there are more tenants than when it began, or lower fastpath.flows_per_tenant.", now, m.options.Capacity)
}
