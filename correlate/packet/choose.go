// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// rank says how likely it is that a branch which ends like this is the packet's own
// way and not that of a copy.
type rank int

const (
	rankNone      rank = iota
	rankWatched        // a copy that a program looked at
	rankBystander      // a copy that nobody needed
	rankOpen           // last seen on its way
	rankDropped
	rankLeft     // left this host
	rankLeftByIt // left this host on the device on which it is expected to
	rankStack    // came to a namespace where a program has a network stack of its own
	rankRead     // was read by such a program
	rankTaken    // taken by a process
)

// Ways is what is known of a packet's way beside its events.
type Ways struct {
	// Exit is the event on whose device the packet is expected to leave this host, or nil if
	// it is to be taken here.
	Exit *event.Event
	// Stacks are the namespaces in which a program has a network stack of its own: it sends
	// and reads with packet sockets, and the kernel's own copy is in nobody's way.
	Stacks []uint32
	// Answer is the first event of the packet with which this one was answered, or nil. The first
	// journey ends there at the latest.
	Answer *event.Event
}

// choose returns the index of the node where the packet's own branch ends, of those
// that belong to no journey yet. It returns -1 if nothing is left but what sockets did
// with their copies.
func (f *Follower) choose(ways Ways) int {
	best, bestRank := -1, rankNone
	for i := range f.tree {
		if n := &f.tree[i]; n.kids > 0 || n.owner != 0 || f.tree.ownCopy(i) {
			continue
		}
		r := f.rank(i, ways)
		if r > bestRank || r == bestRank && r != rankTaken && f.tree[i].root == f.tree[best].root {
			best, bestRank = i, r
		}
	}
	return best
}

// ownCopy reports whether the branch that ends at node i is only what sockets make of
// a packet that has been taken already: each raw socket in the namespace takes a copy,
// and then no socket is left for the original, which is freed.
func (t tree) ownCopy(i int) bool {
	at := t.fork(i)
	return at >= 0 && t[i].parent == at && t[i].terminal() && t[at].ev.Hook.Inbound()
}

func (f *Follower) rank(i int, ways Ways) rank {
	n := &f.tree[i]
	switch {
	case Taken(n.ev):
		return rankTaken
	case Read(n.ev):
		if slices.Contains(ways.Stacks, n.ev.NetNS) && f.tree.received(n) {
			return rankRead
		}
		return rankWatched
	case Died(n.ev):
		return f.rankOfDeath(i, ways)
	case n.driven() && n.xmit != nil && ways.Exit != nil:
		if SameDevice(n.ev, ways.Exit) {
			return rankLeftByIt
		}
		return rankLeft
	}
	return rankOpen
}

// rankOfDeath: a drop is that of the packet, or of a copy that nobody needed.
func (f *Follower) rankOfDeath(i int, ways Ways) rank {
	n := &f.tree[i]
	switch {
	case n.ev.Flags.Has(event.OtherHost), unneeded(f.names.DropReason(n.ev.Code)), f.mirrored(i), f.tree.looped(i):
		return rankBystander
	case !f.tree.received(n) || !slices.Contains(ways.Stacks, n.ev.NetNS):
		return rankDropped
	case f.relayed(n.ev.NetNS):
		return rankBystander
	}
	return rankStack
}

// unneeded reports whether the kernel's reason for a drop says that it is a copy that was
// not for this host or socket: a frame with another's address, as flooded by a bridge; a
// copy for a packet socket that has no room.
func unneeded(reason string) bool {
	return reason == "OTHERHOST" || reason == "PACKET_SOCK_ERROR"
}

// mirrored reports whether the branch that ends at node i is a copy that a mirror made.
func (f *Follower) mirrored(i int) bool {
	for ; i >= 0 && f.tree[i].parent >= 0; i = f.tree[i].parent {
		from, to := f.tree[f.tree[i].parent].ev, f.tree[i].ev
		if !sameBuffer(from, to) && transmits(to) && f.kindOf(from, to) == trace.KindMirror {
			return true
		}
	}
	return false
}

// looped reports whether the branch that ends at node i is the copy of a broadcast or
// multicast packet that its sender's namespace gives to itself.
func (t tree) looped(i int) bool {
	for t[i].parent >= 0 {
		i = t[i].parent
	}
	first := t[i].ev
	return !Born(first) && t.last(func(n *node) bool {
		return n.parent < 0 && Made(n.ev) && SameDevice(n.ev, first)
	}) >= 0
}

// relayed reports whether a program in the namespace sent the packet on.
func (f *Follower) relayed(netns uint32) bool {
	return f.tree.last(func(n *node) bool {
		return n.ev.NetNS == netns && n.parent >= 0 && Made(n.ev) && n.ev.Flags.Has(event.PacketSocket)
	}) >= 0
}

// answered returns the index of the node where the packet was when another, made here, was
// its answer: the last one in the namespace that made the answer, before it. If the packet
// was not seen there, it came there from a device of another namespace without passing a
// hook, and it is the last one at which it had come in. It returns -1 if there is none.
func (t tree) answered(by *event.Event) int {
	here := t.last(func(n *node) bool {
		return n.ev.NetNS == by.NetNS && n.ev.Time <= by.Time && !Died(n.ev)
	})
	if here >= 0 {
		return here
	}
	return t.last(func(n *node) bool { return Inbound(n.ev) && n.ev.Time <= by.Time && n.kids == 0 })
}
