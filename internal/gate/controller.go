// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"sync"
	"time"
)

// Identifiers is how many there are.
const Identifiers = 1 << 16

const (
	// memory is over what time rates are averaged: short enough for the beginning of a
	// flood, long enough that the few packets of a ping a second are not taken for one.
	memory = time.Second
	// enough is over how many events at least the rate is averaged behind a closed gate, if
	// that is not longer than longMemory.
	enough     = 10
	longMemory = 10 * time.Second
	// patience is for how long a lower level must do before it is set.
	patience = time.Second
	// negligible is a rate, in events a second, below which an identifier is forgotten.
	negligible = 0.1
	// few is how many events are not worth a look at the counts.
	few = 200
)

// Options are what the Controller keeps to.
type Options struct {
	// MaxRate is how many pings a second to trace, 0 if there is no such limit.
	MaxRate float64
	// Background is the part of the time of one CPU that tracing may take up in a flood that
	// lasts, 0 if it may take what it needs.
	Background float64
}

// Sample is what was counted up to a time. Counters are totals.
type Sample struct {
	// At is in nanoseconds.
	At uint64
	// Emitted is how many events the kernel side recorded, Taken how many of them traces were
	// made of.
	Emitted, Taken uint64
	// Busy is how much time that took.
	Busy time.Duration
	// Unread is how many bytes of records wait, and Room for how many there is room.
	Unread, Room int
	// PerPing is how many events a ping has, about.
	PerPing float64
	// Sampling is the threshold of all gates: what passes a gate passes that as well.
	Sampling Threshold
	// Passed fills in how many events each gate has let through, modulo 2^32.
	Passed func(*[Identifiers]uint32) error
}

// Change is a level to be set.
type Change struct {
	ID       uint16
	From, To Level
}

// Controller decides on levels. Alias may be called by any goroutine, the other methods by one
// at a time.
type Controller struct {
	opts     Options
	capacity capacity
	allowed  allowance
	last     Sample
	senders  map[uint16]*sender
	passed   [Identifiers]uint32
	lookedAt Sample // when passed was filled in
	scratch  [Identifiers]uint32

	mu      sync.Mutex // guards what follows
	aliases aliases
}

// sender is whoever uses an identifier.
type sender struct {
	// rate is how many events a second there would be if the gate were open, of those pings that
	// sampling lets through.
	rate  float64
	level Level
	// lower is the highest level that would have done since lowerFrom, if that is lower than
	// level.
	lower     Level
	lowerFrom uint64
}

// New returns a Controller of open gates.
func New(opts Options) *Controller {
	return &Controller{opts: opts, senders: map[uint16]*sender{}, aliases: aliases{}}
}

// Step returns what is to be changed. It should be called several times a second. The error is
// that of Sample.Passed, and nothing is to be changed then.
func (c *Controller) Step(s Sample) ([]Change, error) {
	if c.last.At == 0 {
		c.last, c.lookedAt = s, s
		return nil, s.Passed(&c.passed)
	}
	c.capacity.see(c.last, s)
	c.last = s
	if !c.mustLook(s) {
		return nil, nil
	}
	if err := c.look(s); err != nil {
		return nil, err
	}
	return c.decide(s), nil
}

// mustLook reports whether there may be anything to do. On a quiet host there is not, and the
// counts are left alone: they are half a megabyte.
func (c *Controller) mustLook(s Sample) bool {
	return s.At > c.lookedAt.At && (len(c.senders) > 0 || s.Emitted-c.lookedAt.Emitted > few)
}

// look updates the rates.
func (c *Controller) look(s Sample) error {
	if err := s.Passed(&c.scratch); err != nil {
		return err
	}
	elapsed := time.Duration(s.At - c.lookedAt.At).Seconds()
	for id, f := range c.senders {
		now := float64(c.scratch[id]-c.passed[id]) / elapsed / f.level.of(s.Sampling)
		c.passed[id] = c.scratch[id]
		f.rate += f.weight(elapsed, s.Sampling) * (now - f.rate)
		if f.rate < negligible && f.level == 0 {
			delete(c.senders, id)
		}
	}
	for id, n := range &c.scratch {
		if n -= c.passed[id]; n > 0 {
			f := &sender{}
			f.rate = f.weight(elapsed, s.Sampling) * float64(n) / elapsed
			c.senders[uint16(id)] = f
		}
	}
	c.passed, c.lookedAt = c.scratch, s
	return nil
}

// weight is how much what was counted in so many seconds counts among what was counted before.
// What a gate lets through may be so little that memory has not one event: then it is averaged
// over enough of them.
func (f *sender) weight(elapsed float64, sampling Threshold) float64 {
	over := memory.Seconds()
	if f.level > 0 {
		passing := f.rate * f.level.of(sampling)
		over = min(max(over, enough/passing), longMemory.Seconds())
	}
	return 1 - math.Exp(-elapsed/over)
}

// decide returns what is to be changed by the rates.
func (c *Controller) decide(s Sample) []Change {
	groups := c.groups(s.At)
	rates := make([]float64, 0, len(groups))
	total := 0.0
	for _, g := range groups {
		rates = append(rates, g.rate)
		total += g.rate
	}
	share := fairShare(rates, c.limit(s, total))
	var changes []Change
	for _, g := range groups {
		wanted := levelFor(g.rate, share, s.Sampling)
		for _, id := range g.ids {
			f := c.senders[id]
			if to := f.next(wanted, s.At); to != f.level {
				changes = append(changes, Change{id, f.level, to})
				f.level = to
			}
		}
	}
	return changes
}

// limit returns how many events a second there may be.
func (c *Controller) limit(s Sample, total float64) float64 {
	limit := c.capacity.limit(s, total)
	if c.opts.MaxRate > 0 {
		limit = min(limit, c.opts.MaxRate*s.PerPing)
	}
	if c.opts.Background > 0 {
		limit = min(limit, c.allowed.limit(s, total, c.capacity.part(c.opts.Background)))
	}
	return limit
}

// next returns the level to set: a higher one at once, a lower one when it would have done for
// some time, because pings that are on their way when a level changes are not shown.
func (f *sender) next(wanted Level, at uint64) Level {
	switch {
	case wanted >= f.level:
		f.lowerFrom = 0
		return wanted
	case f.lowerFrom == 0:
		f.lower, f.lowerFrom = wanted, at
	default:
		f.lower = max(f.lower, wanted)
	}
	if at-f.lowerFrom < uint64(patience) {
		return f.level
	}
	f.lowerFrom = 0
	return f.lower
}
