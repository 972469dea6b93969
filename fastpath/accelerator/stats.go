// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"time"

	"github.com/dwelltrace/dwell/fastpath/flow"
)

// Stats are counts for metrics. None of them decreases while the manager lives, but for those that
// say so.
type Stats struct {
	// Supported, Attended and Held are those of [Status].
	Supported, Attended, Held bool
	// HeldTime is for how long nothing was sent fast because something had changed.
	HeldTime time.Duration
	// Changes is how often something changed, by what it was: "all", "tenant", "rules",
	// "devices", "firewall".
	Changes map[string]uint64
	// Unasked are questions about flows for which the programs found no room. They ask again.
	Unasked uint64
	// Swept are entries that were removed, because they had ended or had no packet for a minute.
	Swept uint64
	// Unwatched is how often it was not possible to be told of changes, so that all was slow.
	Unwatched uint64
	// Blocked and Unattached are how many devices have something of others' that would be passed
	// over, and how many lack the programs, now.
	Blocked, Unattached int
	// Problems is how many there are now.
	Problems int
	// Nobody are packets from a NIC that are no tenant's.
	Nobody CountStats
	// Tenants are in order of ID.
	Tenants []TenantStats
}

// TenantStats are counts of one tenant.
type TenantStats struct {
	Tenant string
	Mode   flow.Mode
	// Flows and Capacity are entries there are, and may be, now.
	Flows, Capacity int
	From, To        CountStats
	// Approved and Refused are decisions; PutOff are flows for which there was no room in the
	// queue: they come again.
	Approved, PutOff uint64
	Refused          map[flow.Reason]uint64
	// Problems is how many the tenant has now.
	Problems int
}

// CountStats are [Counts] with reasons as numbers.
type CountStats struct {
	Fast, Bytes, Same, Differ, Learnt uint64
	Slow, Unlearnt                    map[flow.Reason]uint64
}

// Summary is what there is to say of the fast path in a line.
type Summary struct {
	// On and Shadow are how many tenants have that mode.
	On, Shadow int
	// Flows is how many entries there are.
	Flows int
	// Problems are those of all, with the tenant before them.
	Problems []string
}
