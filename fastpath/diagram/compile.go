// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Limits if [Options] has none.
const (
	DefaultMaxBytes  = 16 << 20
	DefaultMaxLeaves = 1 << 16
	DefaultMaxWork   = 200_000_000
)

// limited returns the options with limits.
func (o Options) limited() *Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxLeaves = cmp.Or(o.MaxLeaves, DefaultMaxLeaves)
	o.MaxWork = cmp.Or(o.MaxWork, DefaultMaxWork)
	return &o
}

// Compile makes a diagram that says of every packet what the rules say. The error is a
// [TooLargeError] if it would be larger than the options permit.
//
// It asks one word of the packet after the other, and keeps the list of rules that the packet may still
// match. Which word is asked next depends on the list. As soon as the rules up to one that
// decides are known to match or not, there is nothing more to ask. Lists that are alike lead to
// the same nodes.
func Compile(rules *ruleset.Set, o Options) (*Diagram, error) {
	if err := rules.Check(); err != nil {
		return nil, err
	}
	limited := o.limited()
	p, err := unfold(rules, limited)
	if err != nil {
		return nil, err
	}
	c := newCompiler(p, limited)
	root, err := c.program()
	if err == nil {
		d := c.finish(root)
		if d.Depth <= MaxDepth {
			return d, nil
		}
		_ = c.exceeds("nodes on a packet's way", MaxDepth)
	}
	return nil, &TooLargeError{What: c.over, Limit: c.overLimit, Rules: size(rules)}
}

type compiler struct {
	scanner
	builder
	hash    hasher
	memo    map[[2]uint64]uint32
	maxWork int
	sample  sampler
}

func newCompiler(p *program, o *Options) *compiler {
	return &compiler{
		scanner: scanner{program: p},
		builder: newBuilder(o),
		hash:    newHasher(),
		memo:    map[[2]uint64]uint32{},
		maxWork: o.MaxWork,
	}
}

// program returns what is next for a packet of which nothing is known.
func (c *compiler) program() (uint32, error) {
	list := make([]entry, len(c.boxes))
	for i, b := range c.boxes {
		list[i] = entry(i)<<32 | entry(b.words)
	}
	return c.next(c.scan(list, ones(len(list)), 0))
}

// next returns what is next for the list that was scanned last.
func (c *compiler) next(head int) (uint32, error) {
	if c.work > c.maxWork {
		return 0, c.exceeds("steps of work", c.maxWork)
	}
	if head < 0 {
		return c.end()
	}
	key := c.hash.of(c.out)
	if next, known := c.memo[key]; known {
		return next, nil
	}
	list := slices.Clone(c.out)
	next, err := c.split(list, c.choose(list, head))
	if err == nil {
		c.memo[key] = next
	}
	return next, err
}

// end returns the leaf for the list that was scanned last.
func (c *compiler) end() (uint32, error) {
	o := ruleset.Outcome{Verdict: c.policy}
	dependent, first := false, uint32(0)
	for _, e := range c.out {
		st := &c.steps[c.boxes[e.box()].step]
		if e&(absent|depends|stained) != 0 && !dependent {
			dependent, first = true, st.id
		}
		if e&absent != 0 {
			continue
		}
		o.Rules = append(o.Rules, st.id)
		switch {
		case e&depends != 0 || st.kind == leave:
			o.Verdict, o.Decider = ruleset.Defer, st.id
		case st.kind == pass:
			o.Verdict, o.Decider = ruleset.Pass, st.id
		case st.kind == drop:
			o.Verdict, o.Decider = ruleset.Drop, st.id
		}
	}
	if dependent && o.Verdict != ruleset.Drop {
		o = ruleset.Outcome{Verdict: ruleset.Defer, Decider: first}
	}
	if o.Verdict == ruleset.Defer {
		o.Rules = nil
	}
	return c.leaf(o)
}

// split asks a word: the list changes where an interval of one of its entries begins or ends.
func (c *compiler) split(list []entry, w header.Word) (uint32, error) {
	active := make([]uint64, (len(list)+63)/64)
	var events []uint64
	for i, e := range list {
		if e.words()>>w&1 == 0 {
			active[i>>6] |= 1 << (i & 63)
			continue
		}
		for _, in := range c.boxes[e.box()].sets[w] {
			events = append(events, event(uint64(in.Lo), i), event(uint64(in.Hi)+1, i))
		}
	}
	slices.Sort(events)
	c.work += 8 * len(events)
	var cells branches
	for cut := uint64(0); cut <= uint64(w.Max()); {
		for len(events) > 0 && events[0]>>eventShift == cut {
			i := events[0] & (1<<eventShift - 1)
			active[i>>6] ^= 1 << (i & 63)
			events = events[1:]
		}
		next, err := c.next(c.scan(list, active, 1<<w))
		if err != nil {
			return 0, err
		}
		cells.add(uint32(cut), next)
		if len(events) == 0 {
			break
		}
		cut = events[0] >> eventShift
	}
	return c.nodes(w, &cells)
}

// eventShift leaves room for 33 bits of a value and for the place of an entry in its list.
const eventShift = 31

func event(value uint64, place int) uint64 { return value<<eventShift | uint64(place) }

func ones(n int) []uint64 {
	set := make([]uint64, (n+63)/64)
	for i := range set {
		set[i] = ^uint64(0)
	}
	if n&63 != 0 {
		set[len(set)-1] >>= 64 - n&63
	}
	return set
}

// hasher makes keys of lists. Each half is a polynomial modulo 2^61-1 at a random place: that two
// lists of a million entries have equal keys has a probability of less than 2^-80, whoever wrote the rules.
type hasher [2]uint64

const prime = 1<<61 - 1

func (h hasher) of(list []entry) [2]uint64 {
	a, b := uint64(1), uint64(1)
	for _, e := range list {
		a = multiply(a, h[0]) + uint64(e)
		b = multiply(b, h[1]) + uint64(e)
	}
	return [2]uint64{a % prime, b % prime}
}

// multiply returns a number that is like the product modulo the prime, and less than twice the prime.
func multiply(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	sum := lo&prime + (hi<<3 | lo>>61)
	return sum&prime + sum>>61
}
