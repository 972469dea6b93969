// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"math/bits"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// sampleSize is how many entries of a list are looked at to choose a word.
const sampleSize = 128

// sampler is memory that is used again.
type sampler struct {
	entries []entry
	events  []uint64
}

// choose returns the word to ask: one that the first entry that is not settled depends on, because
// nothing can be said before it is. Of these the one by which the fewest entries come to be in several
// lists, because each of them will be asked for in each.
func (c *compiler) choose(list []entry, head int) header.Word {
	words, at := uint32(0), c.boxes[list[head].box()].step
	for _, e := range list[head:] {
		if c.boxes[e.box()].step != at {
			break
		}
		words |= e.words()
	}
	best := header.Word(bits.TrailingZeros32(words))
	if words&(words-1) == 0 {
		return best
	}
	c.take(list[head:])
	least := c.cost(best)
	for words &= words - 1; words != 0; words &= words - 1 {
		w := header.Word(bits.TrailingZeros32(words))
		if cost := c.cost(w); cost < least {
			best, least = w, cost
		}
	}
	return best
}

// take fills the sample: half of it from the beginning, which decides most, and half from all over.
func (c *compiler) take(list []entry) {
	c.sample.entries = append(c.sample.entries[:0], list[:min(len(list), sampleSize)]...)
	if len(list) > sampleSize {
		rest := list[sampleSize/2:]
		for i := range sampleSize / 2 {
			c.sample.entries[sampleSize/2+i] = rest[i*len(rest)/(sampleSize/2)]
		}
	}
}

// cost returns how long all lists of the sample together are, once the word is known. Of words that duplicate
// about as much, the one that makes fewer lists is better: that all hosts of a network have the same first half
// of their addresses is asked once, and not for each host.
func (c *compiler) cost(w header.Word) int {
	events := c.sample.events[:0]
	active, total, cells := 0, 0, 0
	for _, e := range c.sample.entries {
		if e.words()>>w&1 == 0 {
			active++
			continue
		}
		for _, in := range c.boxes[e.box()].sets[w] {
			events = append(events, uint64(in.Lo)<<1|1, (uint64(in.Hi)+1)<<1)
		}
	}
	c.sample.events = events
	slices.Sort(events)
	c.work += 8 * len(events)
	for i, ev := range events {
		if i == 0 || ev>>1 != events[i-1]>>1 {
			total, cells = total+active, cells+1
		}
		active += int(ev&1)*2 - 1
	}
	return (total + active) * (128 + bits.Len(uint(cells)))
}
