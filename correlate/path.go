// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"cmp"
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
)

// node is an event in the tree that a packet and its copies make on their way.
type node struct {
	ev *event.Event
	// parent is the index of the event before, or -1.
	parent int
	kids   int
	// xmit is the net_dev_xmit that belongs to a net_dev_start_xmit, or nil.
	xmit *event.Event
	// owner is the number of the journey that the node is part of, from 1; 0 if none.
	owner int
}

// terminal reports whether nothing can happen to this buffer any more.
func (n *node) terminal() bool { return n.ev.Hook.Terminal() }

// tree holds the events of all requests or of all replies of one ping, in order of
// time. A packet is one branch of it; a bridge that floods, a mirror and a socket
// that gets its own copy make others; each reply of several has its own root.
type tree []node

// byTime orders events: by time, and where two have the same, in the order in which
// a packet passes the hooks, so that the order never depends on who reported first.
func byTime(a, b *event.Event) int {
	if a.Time != b.Time {
		return cmp.Compare(a.Time, b.Time)
	}
	return cmp.Or(
		cmp.Compare(a.Place(), b.Place()),
		cmp.Compare(a.NetNS, b.NetNS),
		cmp.Compare(a.IfIndex, b.IfIndex),
		cmp.Compare(a.SKB, b.SKB),
	)
}

// grow builds the tree of events, which must be sorted by byTime, in dst's memory.
func grow(dst tree, events []*event.Event) tree {
	t := dst[:0]
	for _, ev := range events {
		if ev.Hook == event.NetDevXmit {
			t.pair(ev)
			continue
		}
		parent := t.parentOf(ev)
		if parent >= 0 {
			t[parent].kids++
		}
		t = append(t, node{ev: ev, parent: parent})
	}
	return t
}

// pair gives a net_dev_xmit to the net_dev_start_xmit of the same call. It is not a
// step of its own: by the time it fires the packet may be elsewhere.
func (t tree) pair(xmit *event.Event) {
	for i := len(t) - 1; i >= 0; i-- {
		n := &t[i]
		if n.ev.Hook == event.NetDevStartXmit && n.xmit == nil && n.ev.SKB == xmit.SKB && sameDevice(n.ev, xmit) {
			n.xmit = xmit
			return
		}
	}
}

// parentOf returns the index of the event after which ev happened, or -1.
//
// That is the last event of the same buffer. A buffer not seen before is a copy, and
// the original is what was last seen in the same namespace; or the packet was moved
// to a new buffer while it crossed to another namespace.
func (t tree) parentOf(ev *event.Event) int {
	if last := t.last(func(n *node) bool { return n.ev.SKB == ev.SKB }); last >= 0 && t.continues(last, ev) {
		return last
	}
	if originates(ev) {
		return -1
	}
	if here := t.last(func(n *node) bool { return n.ev.NetNS == ev.NetNS && !n.terminal() }); here >= 0 {
		return here
	}
	if sent := t.last(func(n *node) bool { return n.ev.Hook == event.NetDevStartXmit && n.kids == 0 }); sent >= 0 {
		return sent
	}
	return t.last(func(n *node) bool { return !n.terminal() })
}

// continues reports whether ev can be what happened to the buffer next: not if the
// buffer was freed or delivered, and a packet made here was not received before.
func (t tree) continues(last int, ev *event.Event) bool {
	n := &t[last]
	if n.terminal() {
		return false
	}
	return ev.SKB == 0 || !originates(ev) || n.ev.Hook == event.NetDevStartXmit || netfilter(n.ev)
}

// last returns the index of the latest node for which ok holds, or -1.
func (t tree) last(ok func(*node) bool) int {
	for i := len(t) - 1; i >= 0; i-- {
		if ok(&t[i]) {
			return i
		}
	}
	return -1
}

// path is the events of one branch, in order. If the branch ends with a packet given
// to a driver, the driver's return is its last event.
type path []*event.Event

func (p path) first() *event.Event { return p[0] }
func (p path) last() *event.Event  { return p[len(p)-1] }

// take returns the part of the branch that ends at node end which belongs to no journey
// yet, and gives it to owner.
func (t tree) take(end, owner int) path {
	n := 2 // the driver's return, and the reply that a request may end at
	for i := end; i >= 0 && t[i].owner == 0; i = t[i].parent {
		n++
	}
	p := make(path, 0, n)
	if x := t[end].xmit; x != nil {
		p = append(p, x)
	}
	for i := end; i >= 0 && t[i].owner == 0; i = t[i].parent {
		t[i].owner = owner
		p = append(p, t[i].ev)
	}
	slices.Reverse(p)
	return p
}

// fork returns the index of the node where the branch that ends at i leaves a journey,
// or -1 if it is not a branch of any.
func (t tree) fork(i int) int {
	for i >= 0 && t[i].owner == 0 {
		i = t[i].parent
	}
	return i
}
