// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// MaxDepth is how many nodes a packet may meet: what the BPF program's loop is bounded by.
const MaxDepth = 64

// Judge walks the nodes as the BPF program does. It returns the index of the leaf and what it says.
func (d *Diagram) Judge(p *header.Packet) (uint32, ruleset.Outcome) {
	leaf := d.walk(p) & LeafMask
	return leaf, d.Leaves[leaf]
}

// walk returns what is next after the last node: a leaf.
func (d *Diagram) walk(p *header.Packet) uint32 {
	next := d.Root
	for range MaxDepth {
		if next&LeafBit != 0 {
			return next
		}
		if int(next) >= len(d.Nodes) {
			break
		}
		next = d.Nodes[next].next(p)
	}
	if next&LeafBit != 0 {
		return next
	}
	return LeafBit | uint32(ruleset.Defer)<<VerdictShift
}

func (n *Node) next(p *header.Packet) uint32 {
	word, cuts := n[0]&0xff, n[0]>>8&0xff
	if word >= uint32(header.Words) {
		return LeafBit | uint32(ruleset.Defer)<<VerdictShift
	}
	key, slot := p.Words[word], uint32(0)
	for i := range min(cuts, Cuts) {
		if n[1+i] <= key {
			slot++
		}
	}
	return n[8+slot]
}
