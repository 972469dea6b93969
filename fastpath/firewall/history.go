// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/diagram"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
	"github.com/dwelltrace/dwell/fastpath/scope"
)

// mostGone is how many rules are known that are no longer in force.
const mostGone = 1 << 16

// history knows what rules are called, those in force and those that were, so that a trace can
// say which rule it was even if the rule has been deleted since. Whoever asks does not wait for
// a change that is being made.
type history struct {
	mu   sync.RWMutex
	host *scope.Host
	sets map[setKey]setSince
	// summary is that of all.
	summary Summary
	rules   map[ruleKey]Rule
	// gone are those that are no longer in force, the oldest first.
	gone []ruleKey
}

type ruleKey struct{ number, id uint32 }

// setKey is a tenant's number and a family.
type setKey struct {
	number uint32
	family header.Family
}

type setSince struct {
	set *ruleset.Set
	// forward is nil if iptables decides.
	forward *diagram.Diagram
	since   time.Time
}

func newHistory() *history {
	return &history{rules: map[ruleKey]Rule{}, sets: map[setKey]setSince{}}
}

// Rules returns the rules in force of the tenant with the number, and since when they are.
func (m *Manager) Rules(number uint32, f header.Family) (set *ruleset.Set, since time.Time, ok bool) {
	m.history.mu.RLock()
	defer m.history.mu.RUnlock()
	s, ok := m.history.sets[setKey{number, f}]
	return s.set, s.since, ok
}

// InForce returns the rules in force of the tenant with the number, and the diagram of them that FORWARD
// asks: nil if iptables asks the rules themselves.
func (m *Manager) InForce(number uint32, f header.Family) (set *ruleset.Set, forward *diagram.Diagram, ok bool) {
	m.history.mu.RLock()
	defer m.history.mu.RUnlock()
	s, ok := m.history.sets[setKey{number, f}]
	return s.set, s.forward, ok
}

// Host returns what of the host is whose, as it was read last. It is nil before that.
func (m *Manager) Host() *scope.Host {
	m.history.mu.RLock()
	defer m.history.mu.RUnlock()
	return m.history.host
}

// setHost says what of the host is whose.
func (h *history) setHost(s *scope.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.host = s
}

// get returns a rule.
func (h *history) get(number, id uint32) (Rule, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	r, ok := h.rules[ruleKey{number, id}]
	return r, ok
}

// put says which rules of the tenant are in force: those with other IDs, of this family, are
// not. The set is nil if the tenant has none, and the diagram if iptables decides.
func (h *history) put(number uint32, f header.Family, rules []Rule, set *ruleset.Set, forward *diagram.Diagram) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := setKey{number, f}
	switch {
	case set == nil:
		delete(h.sets, k)
	case h.sets[k].set == set:
		h.sets[k] = setSince{set, forward, h.sets[k].since}
	default:
		h.sets[k] = setSince{set, forward, time.Now()}
	}
	now := make(map[uint32]bool, len(rules))
	for _, r := range rules {
		now[r.ID] = true
		h.rules[ruleKey{number, r.ID}] = r
	}
	for k, r := range h.rules {
		if k.number == number && r.Family == int(f) && !r.Gone && !now[k.id] {
			r.Gone = true
			h.rules[k] = r
			h.gone = append(h.gone, k)
		}
	}
	for len(h.gone) > mostGone {
		if k := h.gone[0]; h.rules[k].Gone { // or it is in force again
			delete(h.rules, k)
		}
		h.gone = h.gone[1:]
	}
}
