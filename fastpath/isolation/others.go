// SPDX-License-Identifier: Apache-2.0

package isolation

import "github.com/dwelltrace/dwell/fastpath/header"

// Hook is a chain of the kernel's in a table.
type Hook struct{ Table, Chain string }

// forward is where tenants have rules.
func forward() Hook { return Hook{Table: "filter", Chain: "FORWARD"} }

// Others returns the packets at a hook that others than the tenant send or receive.
//
// In the table filter, FORWARD, these are the packets that neither enter nor leave by a
// device of the tenant's: see the package. In other tables, what the tenant sends to others is also theirs.
// Where packets are yet to be routed, or are the host's own, all are: the host may receive
// those that the tenant sends, and sends those that the tenant receives.
func (s *Space) Others(tenant string, h Hook) []Cell {
	if h.Chain != "FORWARD" {
		return []Cell{{}}
	}
	own := s.Own(tenant)
	foreign := own.Complement(s.limit())
	if foreign == nil {
		foreign = header.Range(0, s.limit())
	}
	if h == forward() {
		return []Cell{{In: foreign, Out: foreign}}
	}
	return []Cell{{In: foreign}, {In: own, Out: foreign}}
}
