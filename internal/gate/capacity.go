// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"time"
)

const (
	// full is the part of the room for events that may be unread. A flood that ends before
	// that is traced completely.
	full = 0.5
	// empty is the part below which there is no backlog to speak of.
	empty = 1.0 / 16
	// modest is the part of its capacity that a flood may use once there was too much of it:
	// the CPU time that tracing takes is missing elsewhere.
	modest = 0.25
	// leastLimit in events a second is what any machine can do.
	leastLimit = 10_000
	// relief is for how long there must be enough for all before there is no limit.
	relief = 5 * time.Second
	// capacityMemory is over what time the capacity is averaged.
	capacityMemory = 10 * time.Second
	// cut is by how much the limit is lowered if it turns out to be too high, not more often
	// than each effect, which is how long that takes to show; and mending by how much a
	// second it comes back.
	cut, mending = 0.7, 1.05
	effect       = time.Second
)

// capacity finds out how many events a second can be dealt with, once they are too many.
type capacity struct {
	// taken is how many events were taken lately, and busy how many seconds that took.
	taken, busy float64
	// bounded is set while there is a limit, of trust times what is modest. trust is at most 1.
	bounded bool
	trust   float64
	// cutAt is when there was too much, and unread what was unread then.
	cutAt  uint64
	unread int
	// calmSince is since when there is enough for all, 0 if there is not.
	calmSince uint64
}

// see updates what can be dealt with.
func (c *capacity) see(before, now Sample) {
	elapsed := time.Duration(now.At - before.At).Seconds()
	rest := math.Exp(-elapsed / capacityMemory.Seconds())
	c.taken = c.taken*rest + float64(now.Taken-before.Taken)
	c.busy = c.busy*rest + (now.Busy - before.Busy).Seconds()
	c.trust = min(1, c.trust*math.Pow(mending, elapsed))
}

// bound is the limit if there is one.
func (c *capacity) bound() float64 { return c.part(modest * c.trust) }

// part returns how many events a second can be dealt with in a part of the time of one CPU.
func (c *capacity) part(of float64) float64 {
	if c.busy == 0 {
		return leastLimit
	}
	return max(leastLimit, of*c.taken/c.busy)
}

// limit returns how many events a second there may be when total would come if all gates were
// open: no limit, as long as those that come can be dealt with.
func (c *capacity) limit(s Sample, total float64) float64 {
	if float64(s.Unread) > full*float64(s.Room) && s.At-c.cutAt >= uint64(effect) {
		switch {
		case !c.bounded:
			c.bounded, c.trust = true, 1
		case s.Unread >= c.unread:
			c.trust *= cut
		}
		c.cutAt, c.unread = s.At, s.Unread
	}
	if !c.bounded {
		return math.Inf(1)
	}
	bound := c.bound()
	switch {
	case total > bound || float64(s.Unread) > empty*float64(s.Room):
		c.calmSince = 0
	case c.calmSince == 0:
		c.calmSince = s.At
	case s.At-c.calmSince > uint64(relief):
		c.bounded, c.calmSince = false, 0
		return math.Inf(1)
	}
	return bound
}
