// SPDX-License-Identifier: Apache-2.0

package diagram

import (
	"fmt"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/fastpath/ruleset"
)

// Cuts is how many cuts a node has at most.
const Cuts = 7

// Node is one cache line, as the kernel has it. Word 0 has the word of the packet in bits 0 to 7 and
// the number of cuts in bits 8 to 15. Words 1 to 7 are the cuts, ascending, padded with 0xffffffff.
// Words 8 to 15 say what is next: that at place i, if i is the number of cuts that are not greater
// than the packet's word. Those that are not used are like the last.
type Node [16]uint32

// NodeBytes is the size of a [Node].
const NodeBytes = 64

// What is next is the index of a node, or a leaf: its verdict and its index.
const (
	LeafBit      uint32 = 1 << 31
	VerdictShift        = 29
	LeafMask     uint32 = 1<<VerdictShift - 1
)

// Options change what a diagram says.
type Options struct {
	// Stateless: the word State is not known. A packet whose verdict or whose matching rules
	// depend on it is deferred.
	Stateless bool
	// Fresh are states of packets that have no entry in connection tracking. If there are any, a packet
	// is dropped, too, that is dropped by the same rules in all of these: who applies the diagram makes
	// sure that there is no entry before it drops. To pass, all states must still agree.
	Fresh []uint32
	// Defer are packets that are deferred whatever the rules say.
	Defer []header.Box
	// MaxBytes is how large the nodes may become: DefaultMaxBytes if 0.
	MaxBytes int
	// MaxLeaves is how many different outcomes there may be, each of which has counters: DefaultMaxLeaves
	// if 0.
	MaxLeaves int
	// MaxWork is how much compiling may cost, in steps of some nanoseconds: DefaultMaxWork if 0.
	MaxWork int
}

// Diagram is a set of rules, compiled. It is not modified.
type Diagram struct {
	// Root is the first node, or a leaf: as in Node, what is next.
	Root  uint32
	Nodes []Node
	// Leaves are the outcomes, by the leaf's index. Leaf 0 is always there: deferred, with no
	// rule that it could be for.
	Leaves []ruleset.Outcome
	// Depth is how many nodes a packet meets at most.
	Depth int
}

// TooLargeError says that rules cannot be compiled within the limits. iptables has to judge them.
type TooLargeError struct {
	// What was too large, in words, as "bytes of nodes".
	What string
	// Limit is how much there may be of it.
	Limit int
	// Rules is how many rules there are.
	Rules int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d rules need more %s than %d to be judged at once: make the rules fewer or less different in what they look at, or leave them to iptables",
		e.Rules, e.What, e.Limit)
}
