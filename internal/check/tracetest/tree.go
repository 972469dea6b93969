// SPDX-License-Identifier: Apache-2.0

package tracetest

import (
	"fmt"
	"slices"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// CheckTree returns an error unless everything holds of tr that the documentation of package
// trace says of a tree.
func CheckTree(tr *trace.Trace) error {
	if root := tr.Root(); root.Kind != trace.KindPing || root.Parent != trace.NoParent || root.Depth != 0 || root.Direction != trace.NoDirection {
		return fmt.Errorf("the root %v has parent %d, depth %d, direction %q", root, root.Parent, root.Depth, root.Direction)
	}
	children := make([][]int, len(tr.Spans))
	for i := 1; i < len(tr.Spans); i++ {
		if err := checkPlace(tr, i); err != nil {
			return err
		}
		children[tr.Spans[i].Parent] = append(children[tr.Spans[i].Parent], i)
	}
	if err := checkRoot(tr, children[0]); err != nil {
		return err
	}
	for i := 1; i < len(tr.Spans); i++ {
		if err := checkChildren(tr, i, children[i]); err != nil {
			return err
		}
	}
	if !slices.Equal(depthFirst(nil, children, 0), indices(len(tr.Spans))) {
		return fmt.Errorf("spans are not in depth-first order; their children: %v", children)
	}
	return nil
}

// checkPlace returns an error unless what span i says of its place agrees with what its parent says.
func checkPlace(tr *trace.Trace, i int) error {
	s := &tr.Spans[i]
	if s.Parent < 0 || s.Parent >= i {
		return fmt.Errorf("the parent of span %d, %v, is %d", i, s, s.Parent)
	}
	parent := &tr.Spans[s.Parent]
	if s.Depth != parent.Depth+1 {
		return fmt.Errorf("%v has depth %d, its parent %v %d", s, s.Depth, parent, parent.Depth)
	}
	want := parent.Direction
	switch s.Kind {
	case trace.KindRequest:
		want = trace.Request
	case trace.KindReply:
		want = trace.Reply
	}
	if s.Direction != want || s.Kind.Journey() && s.Parent != 0 {
		return fmt.Errorf("%v below %v has direction %q", s, parent, s.Direction)
	}
	return nil
}

// checkRoot returns an error unless the children of the root are the first request, what is between
// the journeys, the first reply, and then the other journeys.
func checkRoot(tr *trace.Trace, children []int) error {
	rest := children
	next := func(is func(*trace.Span) bool) bool {
		if len(rest) == 0 || !is(&tr.Spans[rest[0]]) {
			return false
		}
		rest = rest[1:]
		return true
	}
	request := next(func(s *trace.Span) bool { return s.Kind == trace.KindRequest })
	between := next(func(s *trace.Span) bool { return s.Leaf })
	reply := next(func(s *trace.Span) bool { return s.Kind == trace.KindReply })
	further := !slices.ContainsFunc(rest, func(i int) bool { return !tr.Spans[i].Kind.Journey() })
	if !request && !reply || between && !(request && reply) || !further {
		return fmt.Errorf("the children of the root are not a request, what is between, a reply, and other journeys: %v", tr.Spans)
	}
	return nil
}

// checkChildren returns an error unless the children of span i, which is not the root, tile it in
// order of time.
func checkChildren(tr *trace.Trace, i int, children []int) error {
	s := &tr.Spans[i]
	if len(children) == 0 {
		if single := s.Kind.Journey() && s.Duration() == 0; s.Leaf == single {
			return fmt.Errorf("%v has no children, leaf is %t", s, s.Leaf)
		}
		return nil
	}
	at := s.Start
	for _, c := range children {
		child := &tr.Spans[c]
		if child.Start != at || child.End < child.Start {
			return fmt.Errorf("%v does not begin at %d, where the sibling before ends", child, at)
		}
		at = child.End
	}
	if at != s.End || s.Leaf {
		return fmt.Errorf("the children of %v end at %d, leaf is %t", s, at, s.Leaf)
	}
	return nil
}

// depthFirst appends i and everything below it.
func depthFirst(order []int, children [][]int, i int) []int {
	order = append(order, i)
	for _, c := range children[i] {
		order = depthFirst(order, children, c)
	}
	return order
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
