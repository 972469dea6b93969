// SPDX-License-Identifier: Apache-2.0

package diagram

import "github.com/dwelltrace/dwell/fastpath/header"

// way is a branch of a node.
type way struct{ node, slot uint32 }

// ways returns all branches of all nodes.
func (d *Diagram) ways() []way {
	var ways []way
	for i := range d.Nodes {
		for slot := range d.Nodes[i].used() + 1 {
			ways = append(ways, way{uint32(i), slot})
		}
	}
	return ways
}

// used returns how many cuts a node has.
func (n *Node) used() uint32 { return min(n[0]>>8&0xff, Cuts) }

// parents returns for each node a way that leads to it. That to the root is not of any use.
func (d *Diagram) parents() []way {
	up := make([]way, len(d.Nodes))
	for i := len(d.Nodes) - 1; i >= 0; i-- {
		for slot := range d.Nodes[i].used() + 1 {
			if next := d.Nodes[i][1+Cuts+slot]; int64(next) < int64(len(up)) {
				up[next] = way{uint32(i), slot}
			}
		}
	}
	return up
}

// interval returns the values that go a way.
func (d *Diagram) interval(w way) (header.Word, header.Interval) {
	n := &d.Nodes[w.node]
	word := header.Word(n[0] % wordsRoom)
	in := header.Interval{Lo: 0, Hi: word.Max()}
	if w.slot > 0 {
		in.Lo = n[w.slot]
	}
	if w.slot < n.used() {
		in.Hi = n[w.slot+1] - 1
	}
	return word, in
}

// lead returns a packet that goes a way: at one end of its interval, and at one of the ends of those that
// lead there. The words that are not asked on the way are those of a packet that is drawn.
func (v *verifier) lead(d *Diagram, w way, upper bool) header.Packet {
	var limits [wordsRoom]header.Interval
	var seen [wordsRoom]bool
	last := d.Nodes[w.node][0] % wordsRoom
	for range MaxDepth {
		word, in := d.interval(w)
		if seen[word] {
			in.Lo, in.Hi = max(in.Lo, limits[word].Lo), min(in.Hi, limits[word].Hi)
		}
		limits[word], seen[word] = in, true
		if w.node == d.Root {
			break
		}
		w = v.up[w.node]
	}
	p := v.draw()
	for word := range header.Words {
		if seen[word] {
			p.Words[word] = limits[word].Lo
			if uint32(word) == last && upper || uint32(word) != last && v.IntN(2) == 0 {
				p.Words[word] = limits[word].Hi
			}
		}
	}
	return p
}
