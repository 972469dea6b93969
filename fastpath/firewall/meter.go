// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"github.com/dwelltrace/dwell/fastpath/datapath"
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/netfilter"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// meter adds up what the rules of a tenant counted: those of iptables, which begin anew when
// somebody flushes a chain, and those of the programs, which begin anew with each swap.
type meter struct {
	rules map[meterKey]*count
	// leaves are the outcomes of the tables that may still count.
	leaves map[tableKey][]ruleset.Outcome
	// seen are the counts of tables that were added already.
	seen map[tableKey][]datapath.LeafCount
	// unknown is how many packets were counted by tables of which it is not known any more
	// what rules they were made of.
	unknown uint64
}

// meterKey is a rule, or with ID 0 the policy of the first chain.
type meterKey struct {
	family header.Family
	id     uint32
}

type tableKey struct {
	kind       datapath.Kind
	generation uint32
}

// count is what a rule counted.
type count struct {
	// total is of all; tables is what iptables showed last, and zero what total was when -Z was
	// asked for.
	total, tables, zero netfilter.Count
}

func newMeter() *meter {
	return &meter{rules: map[meterKey]*count{}, leaves: map[tableKey][]ruleset.Outcome{}, seen: map[tableKey][]datapath.LeafCount{}}
}

func (m *meter) of(k meterKey) *count {
	c := m.rules[k]
	if c == nil {
		c = &count{}
		m.rules[k] = c
	}
	return c
}

// total returns what was counted by a rule.
func (m *meter) total(f header.Family, id uint32) counters {
	return m.kinds(f, id).total
}

// shown returns what was counted by a rule after -Z was asked for.
func (m *meter) shown(f header.Family, id uint32) counters {
	c := m.rules[meterKey{f, id}]
	if c == nil {
		return counters{}
	}
	return counters{Packets: c.total.Packets - c.zero.Packets, Bytes: c.total.Bytes - c.zero.Bytes}
}

// zero lets the counters of a rule begin at 0 for those who list them.
func (m *meter) zero(f header.Family, id uint32) {
	c := m.of(meterKey{f, id})
	c.zero = c.total
}

// tables adds what iptables shows. A count that is less than before has begun anew.
func (m *meter) tables(f header.Family, counts map[uint32]netfilter.Count) {
	for id, now := range counts {
		c := m.of(meterKey{f, id})
		if now.Packets < c.tables.Packets || now.Bytes < c.tables.Bytes {
			c.tables = netfilter.Count{}
		}
		c.total.Packets += now.Packets - c.tables.Packets
		c.total.Bytes += now.Bytes - c.tables.Bytes
		c.tables = now
	}
}

// swapped says what the leaves of a new generation mean.
func (m *meter) swapped(generation uint32, plans map[header.Family]*plan) {
	for f, p := range plans {
		ingress, forward := datapath.Ingress4, datapath.Forward4
		if f == header.V6 {
			ingress, forward = datapath.Ingress6, datapath.Forward6
		}
		if p.ingress != nil {
			m.leaves[tableKey{ingress, generation}] = p.ingress.Leaves
		}
		if p.forward != nil {
			m.leaves[tableKey{forward, generation}] = p.forward.Leaves
		}
	}
}

// programs adds what the programs counted.
func (m *meter) programs(counts []datapath.TableCounts) {
	for _, t := range counts {
		k := tableKey{t.Kind, t.Generation}
		leaves, before := m.leaves[k], m.seen[k]
		for i, n := range t.Leaves {
			if i < len(before) {
				n.Packets -= before[i].Packets
				n.Bytes -= before[i].Bytes
			}
			if n.Packets == 0 {
				continue
			}
			if len(leaves) != len(t.Leaves) {
				m.unknown += n.Packets
				continue
			}
			m.leaf(t.Kind, &leaves[i], n)
		}
		m.seen[k] = t.Leaves
		if t.Final {
			delete(m.seen, k)
			delete(m.leaves, k)
		}
	}
}

// leaf adds what came to a leaf to all rules that matched it.
func (m *meter) leaf(kind datapath.Kind, o *ruleset.Outcome, n datapath.LeafCount) {
	f := header.V4
	if kind == datapath.Ingress6 || kind == datapath.Forward6 {
		f = header.V6
	}
	add := func(id uint32) {
		c := m.of(meterKey{f, id})
		c.total.Packets += n.Packets
		c.total.Bytes += n.Bytes
	}
	for _, id := range o.Rules {
		add(id)
	}
	if o.Decider == 0 && o.Verdict != ruleset.Defer {
		add(0)
	}
}

// keep forgets rules that are not in force any more.
func (m *meter) keep(f header.Family, p *plan) {
	now := map[uint32]bool{0: p != nil}
	if p != nil {
		for _, c := range p.text.chains.List {
			for _, r := range c.Rules {
				now[r.ID] = true
			}
		}
	}
	for k := range m.rules {
		if k.family == f && !now[k.id] {
			delete(m.rules, k)
		}
	}
}

// kindsOfCount is what a rule counted, and how much of it iptables shows.
type kindsOfCount struct{ total, tables counters }

// kinds returns what a rule counted.
func (m *meter) kinds(f header.Family, id uint32) kindsOfCount {
	c := m.rules[meterKey{f, id}]
	if c == nil {
		return kindsOfCount{}
	}
	return kindsOfCount{total: m.shown(f, id), tables: counters(c.tables)}
}

// begin sets what a rule had counted before this process.
func (m *meter) begin(k meterKey, c kindsOfCount) {
	*m.of(k) = count{total: netfilter.Count(c.total), tables: netfilter.Count(c.tables)}
}
