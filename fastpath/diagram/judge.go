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

// wordsRoom is how many words the BPF program keeps of a packet: those from header.Words on are 0.
const wordsRoom = 32

// next looks at all cuts, used or not: those that are not used may be reached, too, but what is next is
// the same.
func (n *Node) next(p *header.Packet) uint32 {
	key, slot := uint32(0), 0
	if word := n[0] % wordsRoom; word < uint32(header.Words) {
		key = p.Words[word]
	}
	for _, cut := range n[1 : 1+Cuts] {
		if cut <= key {
			slot++
		}
	}
	return n[1+Cuts+slot]
}
