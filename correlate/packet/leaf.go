// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// Leaf is the time between two events for which one device, link or namespace is
// answerable.
type Leaf struct {
	Kind     trace.Kind
	From, To *event.Event
	// Onto is the event on whose device the packet was put, if that is another than To's.
	Onto *event.Event
	// inside are the events between, at which finer leaves begin and end.
	inside []*event.Event
}

// cut divides a path into leaves. Each begins at the event where the one before ends,
// so they tile the path whatever its events are. With answered, the path ends with the first
// event of the packet that the kernel made in answer.
func (f *Follower) cut(p Path, answered bool) []Leaf {
	n := len(f.leaves)
	f.leaves = f.appendLeaves(f.leaves, p, answered)
	return slices.Clip(f.leaves[n:])
}

func (f *Follower) appendLeaves(leaves []Leaf, p Path, answered bool) []Leaf {
	from, begin := p.First(), 1
	for i, to := range p[1:] {
		if i+1 < begin || within(from, to) && i+2 < len(p) {
			continue
		}
		if f.fast(p[i], to) {
			end := i + transmitted(p[i+1:])
			leaves = append(leaves, fastLeaf(from, p[end]))
			from, begin = p[end], end+1
			continue
		}
		kind := f.kindOf(from, to)
		if answered && i+2 == len(p) {
			kind = f.taken(from, to)
		}
		leaf := Leaf{Kind: kind, From: from, To: to, inside: p[begin : i+1]}
		if kind == trace.KindRedirect && i+2 == len(p) && (answered || to.Hook.Terminal()) {
			return append(leaves, leaf.handed()...)
		}
		if n := len(leaf.inside); kind == trace.KindBeyond && n > 0 { // the stack took it up first
			up := leaf.inside[n-1]
			leaves = append(leaves, Leaf{Kind: trace.KindSoftirq, From: from, To: up, inside: leaf.inside[:n-1]})
			leaf.From, leaf.inside = up, nil
		}
		leaves = append(leaves, leaf)
		from, begin = to, i+2
	}
	return leaves
}

// handed parts a leaf at whose end the packet is taken in another namespace than that in
// which it came in: a program has put it there when the stack took it up, and from then
// on it is being delivered.
func (l *Leaf) handed() []Leaf {
	n := len(l.inside)
	switch {
	case Died(l.To):
		return []Leaf{*l}
	case n == 0:
		return []Leaf{{Kind: trace.KindDeliver, From: l.From, To: l.To}}
	}
	up := l.inside[n-1]
	return []Leaf{
		{Kind: trace.KindRedirect, From: l.From, To: up, Onto: l.To, inside: l.inside[:n-1]},
		{Kind: trace.KindDeliver, From: up, To: l.To},
	}
}

// within reports whether to is a step inside a leaf that began at from: the softirq
// takes up a packet that has arrived on this device, or the packet passes a netfilter
// hook of this namespace.
func within(from, to *event.Event) bool {
	if netfilter(to) {
		return from.NetNS == to.NetNS && !Read(from)
	}
	return to.Hook == event.NetifReceiveSKB && from.Hook.Inbound() && SameDevice(from, to) && from.Depth == to.Depth
}

// Size returns how many spans the leaf needs.
func (l *Leaf) Size() int {
	if len(l.inside) == 0 {
		return 1
	}
	return len(l.inside) + 2
}

// Rewritten reports whether addresses or identifier were rewritten from one event to
// the other.
func (l *Leaf) Rewritten() bool {
	a, b := l.From, l.To
	return a.Type == b.Type && (a.Src != b.Src || a.Dst != b.Dst || a.ID != b.ID)
}

// NetNS returns the inode of the namespace in which the time was spent. A packet that came
// in on another namespace's device is delivered in that of the socket.
func (l *Leaf) NetNS() uint32 {
	if l.Kind == trace.KindDeliver || l.Kind == trace.KindProcess {
		return l.To.NetNS
	}
	return l.From.NetNS
}

// local reports whether the packet was in one namespace for the whole leaf.
func (l *Leaf) local() bool { return l.From.NetNS == l.To.NetNS }

// Hop returns how many of the leaves at the front make up one device as the paper counts
// it, or 0: what a namespace does with a packet that has come in, and the queue of the
// interface on which it leaves, with any other through which traffic control or a stacked
// device takes it before. The driver is the last of them if it is part of the hop, which
// only a hypervisor's is.
func Hop(leaves []Leaf) int {
	switch first := &leaves[0]; {
	case first.Kind == trace.KindFastPath:
	case !first.local():
		return 0
	case first.Kind == trace.KindBridge && first.To.Hook == event.NetDevQueue:
	case !Inbound(first.From):
		return 0
	case first.Kind == trace.KindForward:
	case first.Kind == trace.KindRedirect, first.Kind == trace.KindMirror:
	default:
		return 0
	}
	n := 1
	for n < len(leaves) && leaves[n].goesOn() {
		n++
	}
	if n > 1 && n < len(leaves) && leaves[n].Kind == trace.KindDriver {
		n++
	}
	return n
}

// goesOn reports whether the leaf can belong to the hop that the leaves before it are
// part of.
func (l *Leaf) goesOn() bool {
	if !l.local() {
		return false
	}
	switch l.Kind {
	case trace.KindTransmit, trace.KindForward, trace.KindRedirect:
		return true
	case trace.KindStacked:
		return transmits(l.From) && transmits(l.To)
	}
	return false
}
