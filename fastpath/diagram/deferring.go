// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Deferring returns a diagram that defers the packets in the boxes and says of all others what d says.
// It is made faster than the same rules with [Options.Defer], but asks a packet for some words twice.
func (d *Diagram) Deferring(family header.Family, boxes []header.Box) (*Diagram, error) {
	const name = "base"
	none := &ruleset.Set{Family: family, Base: name, Policy: ruleset.Pass, Chains: map[string]*ruleset.Chain{name: {Name: name}}}
	first, err := Compile(none, Options{Defer: boxes})
	if err != nil {
		return nil, err
	}
	over := &TooLargeError{What: "nodes on a packet's way", Limit: MaxDepth, Rules: len(d.Leaves)}
	if first.Depth+d.Depth > MaxDepth {
		return nil, over
	}
	base := uint32(len(first.Nodes))
	to := func(next, by uint32) uint32 {
		if next&LeafBit == 0 {
			return next + by
		}
		return next
	}
	// What is not deferred goes on at the root of d. The first leaf, which defers, is the same in all.
	onward := func(next uint32) uint32 {
		if next&LeafBit != 0 && first.Leaves[next&LeafMask].Verdict != ruleset.Defer {
			return to(d.Root, base)
		}
		return next
	}
	out := &Diagram{Root: onward(first.Root), Leaves: d.Leaves, Depth: first.Depth + d.Depth}
	for _, n := range first.Nodes {
		for slot := 1 + Cuts; slot < len(n); slot++ {
			n[slot] = onward(n[slot])
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, n := range d.Nodes {
		for slot := 1 + Cuts; slot < len(n); slot++ {
			n[slot] = to(n[slot], base)
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out, nil
}
