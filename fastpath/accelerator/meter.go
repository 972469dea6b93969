// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"maps"

	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// countKey is what counts are of.
type countKey struct {
	slot      uint16
	direction flow.Direction
}

// meter makes the programs' counts, which outlive managers and begin at 0 again if the programs
// are removed, into counts of the manager's own.
type meter struct {
	// base is what the programs had counted when a tenant was given its slot, or when they were
	// opened; past is what earlier programs have counted since.
	base, past map[countKey]CountStats
}

func newMeter() *meter {
	return &meter{base: map[countKey]CountStats{}, past: map[countKey]CountStats{}}
}

// open begins with programs that have counted something for others.
func (m *meter) open(now []bypass.Counts) {
	clear(m.base)
	for _, c := range now {
		m.base[keyOf(&c)] = statsOf(&c)
	}
}

// begin begins with a tenant that has been given a slot.
func (m *meter) begin(slot uint16, now []bypass.Counts) {
	for _, d := range []flow.Direction{flow.FromTenant, flow.ToTenant} {
		delete(m.base, countKey{slot, d})
		delete(m.past, countKey{slot, d})
	}
	for _, c := range now {
		if c.Slot == slot {
			m.base[keyOf(&c)] = statsOf(&c)
		}
	}
}

// end keeps what programs have counted that are closed.
func (m *meter) end(now []bypass.Counts) {
	m.past = m.read(now)
	clear(m.base)
}

// read returns all counts.
func (m *meter) read(now []bypass.Counts) map[countKey]CountStats {
	all := map[countKey]CountStats{}
	for k, past := range m.past {
		all[k] = past.plus(CountStats{})
	}
	for _, c := range now {
		k := keyOf(&c)
		all[k] = all[k].plus(statsOf(&c).minus(m.base[k]))
	}
	return all
}

func keyOf(c *bypass.Counts) countKey { return countKey{c.Slot, c.Direction} }

// statsOf leaves out packets that are in doubt: of them it is decided later.
func statsOf(c *bypass.Counts) CountStats {
	return CountStats{Fast: c.Fast, Bytes: c.Bytes, Same: c.Same, Differ: c.Differ - c.Doubts, Learnt: c.Learnt, Slow: c.Slow, Unlearnt: c.Unlearnt}
}

func (c CountStats) plus(o CountStats) CountStats {
	return c.combine(o, func(a, b uint64) uint64 { return a + b })
}

// minus returns the difference, which is not negative: counts only grow.
func (c CountStats) minus(o CountStats) CountStats {
	return c.combine(o, func(a, b uint64) uint64 { return a - min(a, b) })
}

func (c CountStats) combine(o CountStats, f func(a, b uint64) uint64) CountStats {
	return CountStats{
		Fast: f(c.Fast, o.Fast), Bytes: f(c.Bytes, o.Bytes), Same: f(c.Same, o.Same), Differ: f(c.Differ, o.Differ),
		Learnt: f(c.Learnt, o.Learnt), Slow: combined(c.Slow, o.Slow, f), Unlearnt: combined(c.Unlearnt, o.Unlearnt, f),
	}
}

func combined(a, b map[flow.Reason]uint64, f func(a, b uint64) uint64) map[flow.Reason]uint64 {
	sum := map[flow.Reason]uint64{}
	for r := range maps.Keys(a) {
		sum[r] = f(a[r], b[r])
	}
	for r := range maps.Keys(b) {
		sum[r] = f(a[r], b[r])
	}
	maps.DeleteFunc(sum, func(_ flow.Reason, n uint64) bool { return n == 0 })
	return sum
}

// words returns the counts with reasons as words.
func (c CountStats) words() Counts {
	return Counts{
		Fast: c.Fast, Bytes: c.Bytes, Same: c.Same, Differ: c.Differ, Learnt: c.Learnt,
		Slow: byWord(c.Slow), Unlearnt: byWord(c.Unlearnt),
	}
}

func byWord(counts map[flow.Reason]uint64) map[string]uint64 {
	words := map[string]uint64{}
	for r, n := range counts {
		words[r.String()] = n
	}
	return words
}
