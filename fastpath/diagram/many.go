// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"github.com/dwelltrace/dwell/fastpath/header"
)

// maxVisits is how many nodes [Diagram.Verdicts] visits at most.
const maxVisits = 4096

// Verdicts returns which verdicts packets of the box may have, by [ruleset.Verdict]. It errs towards more of
// them. It takes as long as to judge one packet for each way that packets of the box may go.
func (d *Diagram) Verdicts(box *header.Box) [3]bool {
	v := verdicts{Diagram: d, left: maxVisits}
	for w := range box {
		if v.box[w] = box[w]; box[w] == nil {
			v.box[w] = header.Range(0, header.Word(w).Max())
		}
	}
	v.visit(d.Root)
	return v.may
}

type verdicts struct {
	*Diagram
	box  [wordsRoom]header.Set
	may  [3]bool
	left int
}

func (v *verdicts) visit(next uint32) {
	for next&LeafBit == 0 {
		if v.left--; v.left < 0 || int(next) >= len(v.Nodes) {
			v.may = [3]bool{true, true, true}
			return
		}
		n := &v.Nodes[next]
		word := n[0] % wordsRoom
		set := v.box[word]
		if len(set) == 0 { // a word that packets do not have is 0
			set = header.Set{{}}
		}
		first, last := n.slot(set[0].Lo), n.slot(set[len(set)-1].Hi)
		if first != last {
			v.branch(n, word, set, first, last)
			return
		}
		next = n[1+Cuts+first]
	}
	if verdict := next &^ LeafBit >> VerdictShift; verdict < uint32(len(v.may)) {
		v.may[verdict] = true
	}
}

// branch visits what is next for each part of a set.
func (v *verdicts) branch(n *Node, word uint32, set header.Set, first, last uint32) {
	for slot := first; slot <= last; slot++ {
		lo, hi := uint32(0), ^uint32(0)
		if slot > 0 {
			lo = n[slot]
		}
		if slot < n.used() {
			hi = n[slot+1] - 1
		}
		if part := set.Intersect(header.Range(lo, hi)); !part.Empty() {
			v.box[word] = part
			v.visit(n[1+Cuts+slot])
		}
	}
	v.box[word] = set
}

// slot returns how many of the cuts that are used are not greater than the value.
func (n *Node) slot(value uint32) uint32 {
	slot := uint32(0)
	for _, cut := range n[1 : 1+n.used()] {
		if cut <= value {
			slot++
		}
	}
	return slot
}
