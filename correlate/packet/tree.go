// SPDX-License-Identifier: Apache-2.0

package packet

import (
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
	// root is the index of the first node of its branch; taken is set there once a process
	// took a packet of that branch.
	root  int
	taken bool
	// owner is the number of the journey that the node is part of, from 1; 0 if none.
	owner int
}

// terminal reports whether nothing can happen to this buffer any more.
func (n *node) terminal() bool { return n.ev.Hook.Terminal() }

// driven reports whether the packet was given to a driver.
func (n *node) driven() bool { return n.ev.Hook == event.NetDevStartXmit }

// tree holds the events of a packet and its copies, in order of time. A packet is one
// branch of it; a bridge that floods, a mirror and a socket that gets its own copy make
// others; each packet of several with the same content has its own root.
type tree []node

// grow builds the tree of events, which must be sorted by ByTime, in dst's memory, with what f
// knows of devices.
func grow(dst tree, events []*event.Event, f *Follower) tree {
	t := dst[:0]
	for _, ev := range events {
		if Returned(ev) {
			t.pair(ev)
			continue
		}
		parent := t.parentOf(ev, f)
		root := len(t)
		if parent >= 0 {
			t[parent].kids++
			root = t[parent].root
		}
		t = append(t, node{ev: ev, parent: parent, root: root})
		t[root].taken = t[root].taken || Taken(ev)
	}
	return t
}

// pair gives a net_dev_xmit to the net_dev_start_xmit of the same call. It is not a
// step of its own: by the time it fires the packet may be elsewhere.
func (t tree) pair(xmit *event.Event) {
	at := t.last(func(n *node) bool {
		return n.driven() && n.xmit == nil && n.ev.SKB == xmit.SKB && SameDevice(n.ev, xmit)
	})
	if at >= 0 {
		t[at].xmit = xmit
	}
}

// parentOf returns the index of the event after which ev happened, or -1.
//
// That is the last event of the same buffer. A buffer not seen before is a copy, and
// where it was made is told by where it is seen; or the packet was moved to a new buffer
// while it crossed to another device.
func (t tree) parentOf(ev *event.Event, f *Follower) int {
	if last := t.last(func(n *node) bool { return n.ev.SKB == ev.SKB }); last >= 0 && Continues(t[last].ev, ev) && t.same(last, ev) {
		return last
	}
	switch {
	case Made(ev):
		if sent := t.routed(ev, f); sent >= 0 {
			return sent
		}
		return t.maker(ev)
	case ev.Hook == event.SKBCopyDatagramIovec:
		if here := t.heard(ev); here >= 0 {
			return here
		}
	case ev.Flags.Has(event.LaterFragment):
		return t.whole(ev)
	case ev.Flags.Has(event.Paired):
		if sent := t.sentBy(ev.Peer); sent >= 0 {
			return sent
		}
	case Enters(ev) && f.LeadsAway(ev):
		if t.apart(ev, f.Several) {
			return -1
		}
		if sent := t.sentAway(f); sent >= 0 {
			return sent
		}
	}
	if here := t.copied(ev); here >= 0 {
		return here
	}
	if sent := t.last(func(n *node) bool { return n.driven() && n.kids == 0 }); sent >= 0 {
		return sent
	}
	return t.last(func(n *node) bool { return !n.terminal() })
}

// same reports whether the packet in the buffer in which it was seen at node last is that of
// ev, and not another with the same content: a socket is given the packet that came in.
func (t tree) same(last int, ev *event.Event) bool {
	return ev.Hook != event.SKBCopyDatagramIovec || t[last].ev.Src == ev.Src && t[last].ev.Dst == ev.Dst || t.heard(ev) < 0
}

// heard returns the index of the event after which a socket was given its copy of the
// packet, or -1: the last in the namespace at which the packet had the same addresses.
// Replies of several hosts to one request have the same content and are on their way at
// the same time, and so are duplicates: a socket is given those in their order.
func (t tree) heard(ev *event.Event) int {
	hears := func(n *node) bool {
		return n.ev.NetNS == ev.NetNS && !n.terminal() && n.ev.Src == ev.Src && n.ev.Dst == ev.Dst
	}
	at := slices.IndexFunc(t, func(n node) bool { return hears(&n) && !t[n.root].taken })
	if at < 0 || Read(ev) {
		return t.last(hears)
	}
	root := t[at].root
	return t.last(func(n *node) bool { return hears(n) && n.root == root })
}

// sentBy returns the index of the packet being given to the driver of a device, from
// which nothing is known to have come yet, or -1.
func (t tree) sentBy(peer event.Place) int {
	return t.last(func(n *node) bool {
		return n.driven() && n.kids == 0 && n.ev.NetNS == peer.NetNS && n.ev.IfIndex == peer.IfIndex
	})
}

// maker returns the index of what made a packet that this namespace has not received: a
// tunnel, which gives away its outer packet in another buffer; or a program that read the
// packet from a packet socket and sends it on. It returns -1 if the packet begins here.
func (t tree) maker(ev *event.Event) int {
	if ev.Encapsulated() {
		open := func(n *node) bool { return n.driven() && n.kids == 0 && n.ev.Depth < ev.Depth }
		if here := t.last(func(n *node) bool { return open(n) && n.ev.NetNS == ev.NetNS }); here >= 0 {
			return here
		}
		return t.last(open)
	}
	if !ev.Flags.Has(event.PacketSocket) {
		return t.cloned(ev)
	}
	if read := t.last(func(n *node) bool { return Read(n.ev) && n.ev.NetNS == ev.NetNS && t.received(n) }); read >= 0 {
		return read
	}
	if in := t.last(func(n *node) bool { return Inbound(n.ev) && n.ev.NetNS == ev.NetNS }); in >= 0 {
		return in
	}
	// It may have been given the packet before any hook, by XDP.
	return t.last(func(n *node) bool { return n.driven() && n.kids == 0 })
}

// received reports whether what happened before a node is that the packet came into the
// same namespace. A packet socket is also given what the namespace sends.
func (t tree) received(n *node) bool {
	return n.parent >= 0 && t[n.parent].ev.NetNS == n.ev.NetNS && Inbound(t[n.parent].ev)
}

// whole returns the index of the event after which another fragment of the packet was
// dropped: the packet was queued for the same device, or seen on it, or in the namespace.
func (t tree) whole(ev *event.Event) int {
	for _, at := range [...]func(*node) bool{
		func(n *node) bool { return n.ev.Hook == event.NetDevQueue && SameDevice(n.ev, ev) },
		func(n *node) bool { return !n.terminal() && SameDevice(n.ev, ev) },
		func(n *node) bool { return !n.terminal() && n.ev.NetNS == ev.NetNS },
	} {
		if i := t.last(at); i >= 0 {
			return i
		}
	}
	return t.last(func(n *node) bool { return !n.terminal() })
}

// copied returns the index of the event in the same namespace after which the packet was
// copied to the buffer in which ev sees it, or -1. A copy that is sent is made where the
// packet came in, or in a driver that has not returned, and not of another copy that is
// in a queue or has been sent.
func (t tree) copied(ev *event.Event) int {
	if !ev.Hook.Terminal() {
		at := t.last(func(n *node) bool { return n.ev.NetNS == ev.NetNS && n.copies() })
		if at >= 0 {
			return at
		}
	}
	return t.last(func(n *node) bool { return n.ev.NetNS == ev.NetNS && !n.terminal() })
}

// copies reports whether the packet can be copied after the node's event.
func (n *node) copies() bool {
	if n.driven() {
		return n.ev.Flags.Has(event.Bridge) || n.xmit == nil && n.kids == 0
	}
	return !n.terminal() && n.ev.Hook != event.NetDevQueue
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

// Path is the events of one branch, in order. If the branch ends with a packet given
// to a driver, the driver's return is its last event.
type Path []*event.Event

// First returns the first event.
func (p Path) First() *event.Event { return p[0] }

// Last returns the last event.
func (p Path) Last() *event.Event { return p[len(p)-1] }

// take returns the part of the branch that ends at node end which belongs to no journey
// yet, and gives it to owner. The path has room for one more event: a journey may be made to end
// at it.
func (f *Follower) take(end, owner int) Path {
	t, begin := f.tree, len(f.paths)
	if x := t[end].xmit; x != nil {
		f.paths = append(f.paths, x)
	}
	for i := end; i >= 0 && t[i].owner == 0; i = t[i].parent {
		t[i].owner = owner
		f.paths = append(f.paths, t[i].ev)
	}
	stop := len(f.paths)
	f.paths = append(f.paths, nil) // the room
	p := f.paths[begin : stop : stop+1]
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
