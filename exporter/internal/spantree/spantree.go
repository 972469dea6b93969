// SPDX-License-Identifier: Apache-2.0

// Package spantree answers what a list of spans with parent IDs does not say at
// once: which span is whose child, and on the way there or back.
package spantree

import "github.com/dwelltrace/dwell/correlate/trace"

// None is the parent of a span that has none in the trace.
const None = -1

// Direction says in which journey a span is.
type Direction uint8

// The directions. Spans outside of both journeys have none.
const (
	Neither Direction = iota
	Request
	Reply
)

// String returns "request", "reply" or "".
func (d Direction) String() string {
	return [...]string{"", "request", "reply"}[d]
}

// Node is what is known about the span of the same index.
type Node struct {
	// Parent is an index into the trace's spans, or None.
	Parent int
	// Depth is 0 for the root.
	Depth     int
	Direction Direction
}

// Nodes returns a node for each span of t, in buf if it is large enough.
func Nodes(t *trace.Trace, buf []Node) []Node {
	nodes := buf[:0]
	for i := range t.Spans {
		s := &t.Spans[i]
		nodes = append(nodes, Node{Parent: s.Parent, Depth: int(s.Depth), Direction: Direction(s.Direction)})
	}
	return nodes
}

// Children returns, for each span, the indices of its children in order, and those
// of the spans without parent.
func Children(nodes []Node) (children [][]int, roots []int) {
	children = make([][]int, len(nodes))
	for i, n := range nodes {
		if n.Parent == None {
			roots = append(roots, i)
			continue
		}
		children[n.Parent] = append(children[n.Parent], i)
	}
	return children, roots
}
