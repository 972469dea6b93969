// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"math/bits"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// entry is a box that a packet may still be in: its index in the bits from 32 on, and below them the
// words that are still to be asked. What the words that were asked said needs no mention: either the packet is in
// all their sets, or the entry is gone. So equal lists of entries have equal diagrams.
type entry uint64

const (
	// certain: the step of the box matches, be it for another of its boxes.
	certain entry = 1 << 30
	// depends: the step of the box matches in some fresh states and not in others.
	depends entry = 1 << 31
	// absent: it matches in none of these, but in others.
	absent entry = 1 << 29
	// stained, with certain: it matches in all fresh states, but not in all others.
	stained entry = 1 << 28

	wordBits = 1<<header.Words - 1
)

func (e entry) box() int32    { return int32(e >> 32) }
func (e entry) words() uint32 { return uint32(e) & wordBits }

func (e entry) settled() bool { return e&(certain|depends|absent) != 0 }

// frame is a body in which control may be.
type frame struct {
	guard, end int32
	enter      bool
	// here: control may be at the present step. left: it may have left the body by a return.
	here, left bool
}

// scanner finds which entries of a list can be met, in order, and what they come to.
type scanner struct {
	*program
	out    []entry
	frames []frame
	work   int
	// open: there is an entry in out that is not settled. stain: if there was none yet, a rule was met that
	// matches in some states only.
	open, stain bool
}

// scan fills out with the entries among those of list with a bit in active that control can come to, once
// the words of asked are known. The first that is not settled is at head; it is -1 if the packet's
// way is known to its end.
func (s *scanner) scan(list []entry, active []uint64, asked uint32) (head int) {
	s.out, s.open, s.stain = s.out[:0], false, false
	s.frames = append(s.frames[:0], frame{guard: -1, end: int32(len(s.steps)), here: true})
	group, from, met := int32(-1), 0, false
	for i, set := range active {
		for ; set != 0; set &= set - 1 {
			e := list[i<<6|bits.TrailingZeros64(set)]
			s.work++
			if at := s.boxes[e.box()].step; at != group {
				if met && !s.flow(group, from) {
					return s.head()
				}
				group, from, met = at, len(s.out), s.reach(at)
			}
			if met {
				s.out = append(s.out, e&^entry(asked))
			}
		}
	}
	if met {
		s.flow(group, from)
	}
	return s.head()
}

func (s *scanner) head() int {
	for i, e := range s.out {
		if !e.settled() {
			return i
		}
	}
	return -1
}

// reach goes on to a step, and reports whether control can come to it.
func (s *scanner) reach(at int32) bool {
	top := &s.frames[len(s.frames)-1]
	for at >= top.end && len(s.frames) > 1 {
		s.frames = s.frames[:len(s.frames)-1]
		caller := &s.frames[len(s.frames)-1]
		if top.here || top.left {
			if top.enter {
				caller.left = true
			} else {
				caller.here = true
			}
		}
		top = caller
	}
	// If the guard is another, the rule that jumps to this body does not match.
	return top.here && s.steps[at].guard == top.guard
}

// flow follows a step whose entries are those of out from from on. It is false if control cannot
// come to any further step.
func (s *scanner) flow(at int32, from int) bool {
	sure := s.settle(at, from)
	st := &s.steps[at]
	top := &s.frames[len(s.frames)-1]
	kind := st.kind
	switch sure {
	case depends:
		kind = leave
	case absent:
		kind = count
	}
	if sure != 0 && kind != count {
		top.here = false
	}
	switch kind {
	case back:
		top.left = true
	case call, enter:
		s.frames = append(s.frames, frame{guard: at, end: st.end, enter: kind == enter, here: true})
		return true
	}
	return top.here || len(s.frames) > 1 && s.alive()
}

// alive reports whether there is a body in which control can go on.
func (s *scanner) alive() bool {
	for i := range s.frames {
		if s.frames[i].here || s.frames[i].left {
			return true
		}
	}
	return false
}

// settle finds out whether a step matches: certain, depends, absent or, as 0, not known yet. If it is known,
// one entry is enough to say so.
func (s *scanner) settle(at int32, from int) entry {
	sure, open := entry(0), false
	var states uint64
	for _, e := range s.out[from:] {
		switch {
		case e.settled():
			sure = e & (certain | depends | absent | stained)
		case e.words() != 0:
			open = true
		case !s.stateless:
			sure = certain
		default:
			states |= s.boxes[e.box()].states
		}
	}
	if sure == 0 && (!open || states == header.AllStates()) {
		sure = s.among(states)
	}
	if sure == 0 {
		s.open = true
		return 0
	}
	s.out = s.out[:from]
	if s.stain {
		sure &^= stained // that of the first is enough
	}
	if sure != absent || !s.stain {
		s.out = append(s.out, entry(s.steps[at].box)<<32|sure)
	}
	s.stain = s.stain || !s.open && sure&(absent|stained) != 0
	return sure &^ stained
}

// among says whether a step matches that does so in these states.
func (s *scanner) among(states uint64) entry {
	switch {
	case states == header.AllStates():
		return certain
	case states&s.fresh == s.fresh:
		return certain | stained
	case states&s.fresh == 0:
		return absent
	}
	return depends
}
