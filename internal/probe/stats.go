// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Stats is what is being done.
type Stats struct {
	States []State
	// Unresolved are the references that match no namespace now, in order and with the name of
	// the probe.
	Unresolved []string
	// OverLimit and NotOwned are how many pairs are not pinged, because of the limits and
	// because the namespace is not the tenant's.
	OverLimit, NotOwned int
	// Skipped is how many pings were not sent because their time was over, or the namespace was
	// just going.
	Skipped uint64
	// Problems says why something cannot be sent, in order, each once.
	Problems []string
}

// State is a pair and how its last ping ended.
type State struct {
	Series
	Progress
}

// Progress is how the pings of a pair go.
type Progress struct {
	// Last is how the last one ended: 0 before the first, and never Aborted. Ended is when that
	// was, and Why says why there was no reply, or why it was not sent; "" if it was answered.
	Last  Outcome
	Ended time.Time
	Why   string
	// Answered is when the last reply came, the zero time if none has, and RTT how long it took.
	Answered time.Time
	RTT      time.Duration
	// Next is when the next ping is due, or was if it is under way.
	Next time.Time
}

// Stats returns what is being done for all; by no prober, nothing.
func (p *Prober) Stats() Stats {
	if p == nil {
		return Stats{}
	}
	s := p.stats(func(string) bool { return true })
	s.Skipped = p.skipped.Load()
	return s
}

// StatsOf returns what is being done for a tenant, and nothing that it could learn of others from:
// references to others' namespaces are unresolved, as if there were none.
func (p *Prober) StatsOf(tenant string) Stats {
	s := p.stats(func(of string) bool { return of == tenant })
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := p.plan.left[tenant]; left != nil {
		s.Unresolved = append(s.Unresolved, left.foreign...)
	}
	s.NotOwned = 0
	slices.Sort(s.Unresolved)
	s.Unresolved = slices.Compact(s.Unresolved)
	return s
}

// stats returns what is being done for some.
func (p *Prober) stats(of func(tenant string) bool) (s Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for tenant, left := range p.plan.left {
		if of(tenant) {
			s.Unresolved = append(s.Unresolved, left.unresolved...)
			s.OverLimit += left.overLimit
			s.NotOwned += left.notOwned
		}
	}
	for _, n := range p.pairs {
		if !of(n.key.Tenant) {
			continue
		}
		state := State{n.key.Series, n.progress()}
		s.States = append(s.States, state)
		if state.Last == NoRoute || state.Last == Failed {
			from := Probe{Name: n.key.Probe, Tenant: n.key.Tenant}
			s.Problems = append(s.Problems, fmt.Sprintf("probe %s cannot be sent from %s: %s", from.title(), n.key.NetNS, state.Why))
		}
	}
	// Of two namespaces with one name, the worse one counts.
	slices.SortFunc(s.States, func(a, b State) int { return cmp.Or(a.compare(b.Series), cmp.Compare(b.Last, a.Last)) })
	s.States = slices.CompactFunc(s.States, func(a, b State) bool { return a.Series == b.Series })
	for _, list := range []*[]string{&s.Unresolved, &s.Problems} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s
}

func (s Series) compare(o Series) int {
	return cmp.Or(cmp.Compare(s.Tenant, o.Tenant), cmp.Compare(s.Probe, o.Probe), cmp.Compare(s.NetNS, o.NetNS), s.Target.Compare(o.Target))
}
