// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"slices"
	"strings"

	"github.com/dwelltrace/dwell/internal/inventory"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// mostUnmatched is how many references one line of the log names. A thousand tenants may come
// before their devices do.
const mostUnmatched = 10

// logConflicts logs what two tenants claim, once for as long as they do.
func (d *daemon) logConflicts(now []inventory.Conflict) {
	before := d.conflicts
	d.conflicts = make(map[string]bool, len(now))
	for _, c := range now {
		text := c.String()
		if !before[text] && !d.conflicts[text] {
			d.log.Warn("no tenant sees what two claim", "conflict", text)
		}
		d.conflicts[text] = true
	}
	if len(now) == 0 && len(before) > 0 {
		d.log.Info("no two tenants claim the same any more")
	}
}

// logUnmatched logs which references of tenants match nothing, when that changes: who sees no
// ping of its own has most likely got a name wrong there.
func (d *daemon) logUnmatched(now []tenant.Ref) {
	before := d.unmatched
	d.unmatched = slices.Clone(now)
	switch {
	case slices.Equal(before, now):
	case len(now) == 0:
		d.log.Info("every reference of a tenant matches something")
	default:
		names := make([]string, min(len(now), mostUnmatched))
		for i := range names {
			names[i] = now[i].Tenant + ": " + now[i].String()
		}
		d.log.Warn("nothing matches these references of tenants, which see nothing by them; they are resolved again as things come and go",
			"count", len(now), "references", strings.Join(names, ", "))
	}
}
