// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"slices"
	"time"
)

// fairShare returns the max-min fair share of a limit: if nobody gets more than that, all get
// no more than the limit together, and nobody could get more without somebody who has no more
// getting less. It is infinite if there is enough for all. It sorts rates.
func fairShare(rates []float64, limit float64) float64 {
	slices.Sort(rates)
	for i, rate := range rates {
		share := limit / float64(len(rates)-i)
		if rate > share {
			return share
		}
		limit -= rate
	}
	return math.Inf(1)
}

// aliases are pairs of identifiers that one ping had, one before and one after NAT, with when
// that was last seen. What a gate lets through must then be let through by the other, too.
type aliases map[[2]uint16]uint64

const (
	// maxAliases bounds how many there are.
	maxAliases = 4096
	// aliasMemory is for how long one is remembered.
	aliasMemory = time.Minute
)

// Alias says that a ping had both identifiers, at a time in nanoseconds. They have the same
// level from now on.
func (c *Controller) Alias(a, b uint16, at uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair := [2]uint16{min(a, b), max(a, b)}
	if _, known := c.aliases[pair]; known || len(c.aliases) < maxAliases {
		c.aliases[pair] = at
	}
}

// group is identifiers that get the same level.
type group struct {
	ids  []uint16
	rate float64
}

// groups returns the identifiers in use, those of one sender together.
func (c *Controller) groups(at uint64) []group {
	leaders := c.leaders(at)
	index := make(map[uint16]int, len(c.senders))
	groups := make([]group, 0, len(c.senders))
	for id, f := range c.senders {
		leader := leaderOf(leaders, id)
		i, known := index[leader]
		if !known {
			i = len(groups)
			index[leader] = i
			groups = append(groups, group{})
		}
		groups[i].ids = append(groups[i].ids, id)
		groups[i].rate += f.rate
	}
	return groups
}

// leaders returns, for identifiers with an alias, another one of the same group that stands
// nearer to the one that stands for it. It forgets old aliases.
func (c *Controller) leaders(at uint64) map[uint16]uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaders := make(map[uint16]uint16, len(c.aliases))
	for pair, seen := range c.aliases {
		if seen+uint64(aliasMemory) < at {
			delete(c.aliases, pair)
			continue
		}
		a, b := leaderOf(leaders, pair[0]), leaderOf(leaders, pair[1])
		if a != b {
			leaders[b] = a
		}
	}
	return leaders
}

func leaderOf(leaders map[uint16]uint16, id uint16) uint16 {
	for {
		next, ok := leaders[id]
		if !ok {
			return id
		}
		id = next
	}
}
