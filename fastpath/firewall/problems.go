// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/scope"
)

// Summary is what there is to say of all firewalls in a line.
type Summary struct {
	// Tenants is the number of those with rules.
	Tenants int
	// Problems are those of all listings, with the tenant before them.
	Problems []string
}

// Summary returns what was known after the last change. It does not wait for one that is being
// made.
func (m *Manager) Summary() Summary {
	m.history.mu.RLock()
	defer m.history.mu.RUnlock()
	return m.history.summary
}

// publish says what is known now.
func (m *Manager) publish() {
	var s Summary
	for _, t := range m.all() {
		if len(t.plans) > 0 {
			s.Tenants++
		}
		for _, p := range m.problems(t) {
			s.Problems = append(s.Problems, t.id+": "+p)
		}
	}
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	m.history.summary = s
}

// scopeOf returns what of the host is the tenant's, as it was read last.
func (m *Manager) scopeOf(t *kept) *scope.Tenant {
	if m.host != nil {
		if st := m.host.Get(t.id); st != nil {
			return st
		}
	}
	return &scope.Tenant{ID: t.id, Number: t.number, Problem: "it has no devices on this host"}
}

// problems are sentences in an order that does not change.
func (m *Manager) problems(t *kept) []string {
	var all []string
	st := m.scopeOf(t)
	if st.Problem != "" && len(t.plans) > 0 {
		all = append(all, "rules stay as they were, because "+st.Problem)
	} else if st.Problem != "" {
		all = append(all, st.Problem)
	}
	if m.foreign != nil && m.foreign.Bypass != "" && len(t.plans) > 0 {
		all = append(all, "packets of known connections pass by all rules, because of a flow table: "+m.foreign.Bypass)
	}
	for _, about := range slices.Sorted(maps.Keys(t.broken)) {
		all = append(all, t.broken[about])
	}
	for _, port := range slices.Sorted(maps.Keys(t.unattached)) {
		all = append(all, fmt.Sprintf("port %s has no program, so that its packets are judged in FORWARD: %v", port, t.unattached[port]))
	}
	if n := t.meter.unknown; n > 0 {
		all = append(all, fmt.Sprintf("%d packets that programs judged before the agent was started again are in no rule's counters", n))
	}
	for i := range all {
		all[i] = sentence(all[i])
	}
	return all
}
