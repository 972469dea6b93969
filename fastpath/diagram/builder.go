// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// errExceeds stops compiling: the builder knows what was too large.
var errExceeds = errors.New("too large")

// maxCounted bounds the memory of rules that only count, and of which thousands match a packet.
const maxCounted = 1 << 22

// builder makes nodes and leaves, each once.
type builder struct {
	made      []Node
	index     map[Node]uint32
	leaves    []ruleset.Outcome
	leafIndex map[string]uint32
	maxNodes  int
	maxLeaves int
	counted   int
	over      string
	overLimit int
}

func newBuilder(o *Options) builder {
	b := builder{
		index: map[Node]uint32{}, leafIndex: map[string]uint32{},
		maxNodes: o.MaxBytes / NodeBytes, maxLeaves: o.MaxLeaves,
	}
	// The first leaf is for what goes wrong.
	_, _ = b.leaf(ruleset.Outcome{Verdict: ruleset.Defer})
	return b
}

func newHasher() hasher {
	var h hasher
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	for i := range h {
		h[i] = binary.LittleEndian.Uint64(b[8*i:]) % prime
	}
	return h
}

func (b *builder) exceeds(what string, limit int) error {
	b.over, b.overLimit = what, limit
	return errExceeds
}

// leaf returns what is next if it is an outcome.
func (b *builder) leaf(o ruleset.Outcome) (uint32, error) {
	key := make([]byte, 0, 8+4*len(o.Rules))
	key = binary.LittleEndian.AppendUint32(key, uint32(o.Verdict))
	key = binary.LittleEndian.AppendUint32(key, o.Decider)
	for _, id := range o.Rules {
		key = binary.LittleEndian.AppendUint32(key, id)
	}
	at, known := b.leafIndex[string(key)]
	if !known {
		if len(b.leaves) > b.maxLeaves {
			return 0, b.exceeds("different outcomes", b.maxLeaves)
		}
		if b.counted += len(o.Rules); b.counted > maxCounted {
			return 0, b.exceeds("rules to count in all outcomes together", maxCounted)
		}
		at = uint32(len(b.leaves))
		b.leaves = append(b.leaves, o)
		b.leafIndex[string(key)] = at
	}
	return LeafBit | uint32(o.Verdict)<<VerdictShift | at, nil
}

// branches are what is next for the values of a word from each cut to the one after it. The first cut is 0.
type branches struct{ cuts, next []uint32 }

// add appends a branch, unless it is like the last.
func (b *branches) add(cut, next uint32) {
	if n := len(b.next); n > 0 && b.next[n-1] == next {
		return
	}
	b.cuts, b.next = append(b.cuts, cut), append(b.next, next)
}

// nodes makes a B-tree of branches. Its nodes are full, but for the last of each level.
func (b *builder) nodes(w header.Word, level *branches) (uint32, error) {
	for len(level.next) > 1 {
		var up branches
		for at := 0; at < len(level.next); at += Cuts + 1 {
			end := min(at+Cuts+1, len(level.next))
			next, err := b.node(w, level.cuts[at:end], level.next[at:end])
			if err != nil {
				return 0, err
			}
			up.add(level.cuts[at], next)
		}
		level = &up
	}
	return level.next[0], nil
}

func (b *builder) node(w header.Word, cuts, next []uint32) (uint32, error) {
	if len(next) == 1 {
		return next[0], nil
	}
	used := len(next) - 1
	n := Node{0: uint32(w) | uint32(used)<<8}
	for i := range Cuts {
		n[1+i] = math.MaxUint32
	}
	copy(n[1:], cuts[1:])
	for i := range Cuts + 1 {
		n[1+Cuts+i] = next[min(i, used)]
	}
	at, known := b.index[n]
	if !known {
		if len(b.made) >= b.maxNodes {
			return 0, b.exceeds("bytes of nodes", b.maxNodes*NodeBytes)
		}
		at = uint32(len(b.made))
		b.made = append(b.made, n)
		b.index[n] = at
	}
	return at, nil
}

// pageNodes is how many nodes there are in a page of memory.
const pageNodes = 4096 / NodeBytes

// finish numbers the nodes so that those that follow each other on a packet's way are in few pages: the kernel
// maps a table page by page, and to find where a page is takes longer than to read it. Each group has
// the nodes that are next to its first one; where it ends, others begin.
func (b *builder) finish(root uint32) *Diagram {
	d := &Diagram{Root: root, Leaves: b.leaves}
	if root&LeafBit != 0 {
		return d
	}
	number := make([]uint32, len(b.made)) // one more than a node's number
	order := make([]uint32, 0, len(b.made))
	meet := func(next uint32) {
		if next&LeafBit == 0 && number[next] == 0 {
			order = append(order, next)
			number[next] = uint32(len(order))
		}
	}
	for begin := []uint32{root}; len(begin) > 0; begin = begin[1:] {
		at := len(order)
		meet(begin[0])
		for end := at + pageNodes; at < len(order); at++ {
			for _, next := range b.made[order[at]][1+Cuts:] {
				if len(order) < end {
					meet(next)
				} else if next&LeafBit == 0 && number[next] == 0 {
					begin = append(begin, next)
				}
			}
		}
	}
	d.Nodes = make([]Node, len(order))
	for i, at := range order {
		d.Nodes[i] = b.made[at]
		for slot := 1 + Cuts; slot < len(Node{}); slot++ {
			if next := d.Nodes[i][slot]; next&LeafBit == 0 {
				d.Nodes[i][slot] = number[next] - 1
			}
		}
	}
	d.Root = 0
	d.Depth = b.depth(root)
	return d
}

// depth returns how many nodes there are on the longest way. A node is made after those that it leads to.
func (b *builder) depth(root uint32) int {
	below := make([]int, len(b.made))
	for i := range b.made {
		for _, next := range b.made[i][1+Cuts:] {
			if next&LeafBit == 0 {
				below[i] = max(below[i], below[next])
			}
		}
		below[i]++
	}
	return below[root]
}
