// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxJourneys bounds the journeys of one packet and its duplicates.
const maxJourneys = 16

// Journey is one packet's way through this host: the path of the packet itself, and
// the copies that left it.
type Journey struct {
	Path   Path
	Leaves []Leaf
	Copies []Path
	// Stack is set if the journey ends where a program with a network stack of its own
	// reads the packet, and that was not seen itself.
	Stack bool
	// answered is set if the last event is the first of the kernel's answer, and left if the
	// packet was with a driver that returned only after the answer had come back.
	answered, left bool
}

// Start returns the first event.
func (j *Journey) Start() *event.Event { return j.Path.First() }

// Last returns the last event.
func (j *Journey) Last() *event.Event { return j.Path.Last() }

// Ending says how a journey ended.
type Ending uint8

// The endings.
const (
	// Open: it is not known how. The packet was last seen on its way.
	Open Ending = iota
	// HandedOver: a process took the packet, or the kernel did, to answer it.
	HandedOver
	// Left: a driver took the packet, which was not seen afterwards.
	Left
	// Dead: the packet was dropped.
	Dead
)

// Ending returns how the journey ended.
func (j *Journey) Ending() Ending {
	switch last := j.Last(); {
	case j.Stack, j.answered, last.Hook.Terminal() && !Died(last):
		return HandedOver
	case Died(last):
		return Dead
	case Returned(last), j.left:
		return Left
	}
	return Open
}

// Begun reports whether the journey was followed from where it began: the packet was made
// here, or came in, or died where it was made.
func (j *Journey) Begun() bool {
	first := j.Start()
	return Born(first) || Enters(first)
}

// Sent reports whether the packet was made here.
func (j *Journey) Sent() bool { return Born(j.Start()) }

// Seen reports whether the packet was never, between two events, where no hook saw it.
func (j *Journey) Seen() bool {
	for i := range j.Leaves {
		if j.Leaves[i].Kind == trace.KindUnseen {
			return false
		}
	}
	return true
}

// Follower makes journeys of a packet's events. It keeps its working memory from one
// packet to the next.
type Follower struct {
	// Several is set if several hosts may each send one of the packets, as with answers to a
	// broadcast.
	Several bool

	names Names
	tree  tree
	// journeys are those of the packet, paths their events and leaves their leaves.
	journeys []*Journey
	made     [maxJourneys]Journey
	paths    Path
	leaves   []Leaf
	// acts are what was done to the packet and its copies.
	acts []*event.Event
}

// NewFollower returns a Follower. It panics if names is missing.
func NewFollower(names Names) *Follower {
	if names == nil {
		panic("packet: names are required")
	}
	return &Follower{names: names}
}

// Follow takes the events of one packet and its copies, sorted by ByTime, and those that say what
// was done to them. Journeys of what was followed before are not valid any more.
func (f *Follower) Follow(events, acts []*event.Event) {
	f.acts, f.journeys, f.paths, f.leaves = acts, f.journeys[:0], f.paths[:0], f.leaves[:0]
	f.tree = grow(f.tree, events, f)
}

// Journeys parts what was followed into journeys, the packet's own first. What has a
// beginning of its own is a journey; other branches are copies that left a journey. With
// apart, a copy that was taken is a journey, too.
func (f *Follower) Journeys(ways Ways, apart bool) []*Journey {
	return f.part(f.choose(ways), ways, apart)
}

// JourneysUntil is Journeys for a packet whose answer was made here: the first journey ends where
// that was.
func (f *Follower) JourneysUntil(ways Ways) []*Journey {
	end := f.tree.answered(ways.Answer)
	if end < 0 {
		end = f.choose(ways)
	}
	return f.part(end, ways, false)
}

// part makes the journeys, the first of which ends at node end if that is not -1.
func (f *Follower) part(end int, ways Ways, apart bool) []*Journey {
	for ; end >= 0 && len(f.journeys) < maxJourneys; end = f.choose(ways) {
		at := f.tree.fork(end)
		if at < 0 && len(f.journeys) > 0 && f.tree.looped(end) {
			f.journeys[0].Copies = append(f.journeys[0].Copies, f.take(end, 1))
			continue
		}
		rank := f.rank(end, ways)
		if at >= 0 && (!apart || rank < rankRead) {
			j := f.journeys[f.tree[at].owner-1]
			j.Copies = append(j.Copies, f.take(end, f.tree[at].owner))
			continue
		}
		n := len(f.journeys)
		j := &f.made[n]
		*j = Journey{Path: f.take(end, n+1), Copies: j.Copies[:0], Stack: rank == rankStack}
		if j.Stack {
			j.Path = j.Path[:len(j.Path)-1] // what the kernel did with its own copy
		}
		f.journeys = append(f.journeys, j)
	}
	if ways.Answer != nil && len(f.journeys) > 0 {
		f.end(f.journeys[0], ways.Answer)
	}
	for _, j := range f.journeys {
		j.Leaves = f.cut(j.Path, j.answered)
	}
	return f.journeys
}

// end lets a journey end where the answer to the packet begins: at the answer if the kernel
// made it while it handled the packet, and not later than the answer.
func (f *Follower) end(j *Journey, answer *event.Event) {
	switch last := j.Last(); {
	case Returned(last) && last.Time > answer.Time:
		j.Path, j.left = j.Path[:len(j.Path)-1], true
	case !Inbound(last) || !Born(answer) || last.Time > answer.Time || f.Guest(answer):
	case answer.Flags.Has(event.PacketSocket):
		j.Stack = true
	default:
		j.Path, j.answered = append(j.Path, answer), true
	}
}
