// SPDX-License-Identifier: Apache-2.0

package premises

import (
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// lookup reads that something is in a set, or is mapped by it.
func (f *flowReader) lookup(at attributes) {
	set := f.known[text(at[unix.NFTA_LOOKUP_SET])]
	if set != nil && set.does != "" {
		f.does(set.does)
		return
	}
	dreg, maps := at[unix.NFTA_LOOKUP_DREG]
	verdicts := maps && number(dreg) == verdictReg
	if set != nil && set.known && (verdicts || !maps) && f.lookupIn(f.get(at[unix.NFTA_LOOKUP_SREG]), set, verdicts, number(at[lookupFlags])&1 != 0) {
		return
	}
	key := f.key(register(at[unix.NFTA_LOOKUP_SREG]))
	f.looksAt(key)
	switch {
	case !maps:
	case !verdicts:
		f.write(dreg, key, 16)
	default: // any may be what the map says
		for _, name := range f.called {
			f.emit(ruleset.Jump, name, false)
		}
		f.emit(ruleset.Accept, "", false)
		f.emit(ruleset.Deny, "", false)
		f.emit(ruleset.Return, "", false)
	}
}

// key is what is looked up: it may be several values, one after the other.
func (f *flowReader) key(first uint32) operand {
	key := operand{}
	for reg := first; reg < registers; reg++ {
		o, known := f.regs[reg]
		if !known && reg > first {
			break
		}
		if !known {
			o.varies = "what is not known"
		}
		if varies := f.variesAtAll(o); varies != "" && key.varies == "" {
			key.varies = varies
		}
	}
	return key
}

// lookupIn reads a lookup in a set whose elements are known. It reports whether it has understood all.
func (f *flowReader) lookupIn(o operand, set *nftSet, verdicts, not bool) bool {
	if o.varies != "" {
		return false
	}
	var all []header.Box
	of := make([][]header.Box, len(set.elements))
	for i, e := range set.elements {
		if e.all {
			return false
		}
		boxes, known := f.boxes(o, &within{lo: e.lo, hi: e.hi})
		if len(e.lo) == 0 || !known {
			return false
		}
		of[i], all = boxes, append(all, boxes...)
	}
	if len(all)*len(f.rule.Boxes) > maxFlowBoxes {
		return false
	}
	if !verdicts {
		if not {
			all = header.ComplementBoxes(all)
		}
		f.meets(all)
		return true
	}
	before := f.rule.Boxes
	for i, e := range set.elements {
		f.rule.Boxes = header.IntersectBoxes(before, of[i])
		f.verdict(int32(number(e.verdict[unix.NFTA_VERDICT_CODE])), text(e.verdict[unix.NFTA_VERDICT_CHAIN]))
		f.ended = false // for packets that are not in it
	}
	f.rule.Boxes = before
	return true
}
