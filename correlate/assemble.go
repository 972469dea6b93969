// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// assembler makes traces of finished pings. It keeps its working memory from one to
// the next.
type assembler struct {
	opts              Options
	sorted            sorted
	requests, replies *packet.Follower
	legsOf            []leg
	builder           builder
	headers           headerTexts
	packets           packets
	memory            *memory
}

// sorted holds the events of a ping by packet, in order of time.
type sorted struct {
	requests, replies []*event.Event
	// errors are those of ICMP errors about either.
	errors []*event.Event
	// acts are those that say what was done to a packet.
	acts []*event.Event
	// stacks are the namespaces in which a program sends with packet sockets.
	stacks []uint32
	// threshold is the highest that requests and replies have passed.
	threshold uint32
}

// legs are the journeys of a ping.
type legs struct {
	requests, replies []*packet.Journey
}

func newAssembler(opts Options) assembler {
	m := &memory{questions: questions{Resolver: opts.Resolver}}
	opts.Resolver = &m.questions
	a := assembler{opts: opts, memory: m, requests: packet.NewFollower(opts.Resolver), replies: packet.NewFollower(opts.Resolver)}
	a.replies.Several = true
	return a
}

// assemble makes the trace of p, or returns nil if nothing of p was seen but returns of
// drivers, which are not steps of a journey.
func (a *assembler) assemble(p *ping) *trace.Trace {
	if t := a.memory.recall(p, &a.opts); t != nil {
		return t
	}
	t := a.make(p)
	a.memory.keep(p, t)
	return t
}

// make is assemble for a ping of which no other is remembered that is like it.
func (a *assembler) make(p *ping) *trace.Trace {
	a.sorted.sort(p)
	a.requests.Follow(a.sorted.requests, a.sorted.acts)
	a.replies.Follow(a.sorted.replies, a.sorted.acts)
	l := a.legs()
	if len(l.requests)+len(l.replies) == 0 {
		return nil
	}
	return newBuilder(a, p, l).build()
}

// sort parts the events of p by packet and puts each part in order.
func (s *sorted) sort(p *ping) {
	*s = sorted{s.requests[:0], s.replies[:0], s.errors[:0], s.acts[:0], s.stacks[:0], 0}
	for i := range p.events {
		ev := &p.events[i]
		switch {
		case ev.Hook.Acts():
			s.acts = append(s.acts, ev)
		case ev.Type == event.EchoRequest:
			s.requests = append(s.requests, ev)
			s.threshold = max(s.threshold, ev.Threshold)
		case ev.Type == event.EchoReply:
			s.replies = append(s.replies, ev)
			s.threshold = max(s.threshold, ev.Threshold)
		default:
			s.errors = append(s.errors, ev)
		}
		if ev.Flags.Has(event.PacketSocket) && packet.Made(ev) && !slices.Contains(s.stacks, ev.NetNS) {
			s.stacks = append(s.stacks, ev.NetNS)
		}
	}
	for _, events := range [...][]*event.Event{s.requests, s.replies, s.errors, s.acts} {
		if !inOrder(events) {
			slices.SortFunc(events, packet.ByTime)
		}
	}
}

// inOrder reports whether events are sorted by time, as most are, and no two have the same.
func inOrder(events []*event.Event) bool {
	for i := 1; i < len(events); i++ {
		if events[i].Time <= events[i-1].Time {
			return false
		}
	}
	return true
}

// entry returns the request's arrival if that is where it was seen first.
func (s *sorted) entry() *event.Event {
	if len(s.requests) > 0 && !packet.Made(s.requests[0]) && packet.Enters(s.requests[0]) {
		return s.requests[0]
	}
	return nil
}

// legs returns the journeys of both packets. The request's first ends where the reply
// begins if that was made on this host.
func (a *assembler) legs() legs {
	ways := packet.Ways{Stacks: a.sorted.stacks}
	back := packet.Ways{Stacks: a.sorted.stacks, Exit: a.sorted.entry()}
	l := legs{replies: a.replies.Journeys(back, true)}
	if len(l.replies) == 0 {
		l.requests = a.requests.Journeys(ways, false)
		return l
	}
	reply := l.replies[0]
	ways.Answer = reply.Start()
	if packet.Born(reply.Start()) {
		l.requests = a.requests.JourneysUntil(ways)
	} else {
		ways.Exit = reply.Start() // of several copies that left, this one was answered
		l.requests = a.requests.Journeys(ways, false)
	}
	if len(l.requests) > 0 {
		diedAtHome(l.requests[0], reply)
	}
	return l
}

// diedAtHome calls it delivery and not forwarding if the reply was dropped in the
// namespace that the request came from: it had nowhere else to go.
func diedAtHome(request, reply *packet.Journey) {
	last := len(reply.Leaves) - 1
	if last < 0 || reply.Ending() != packet.Dead || !packet.Born(request.Start()) {
		return
	}
	l := &reply.Leaves[last]
	if l.Kind == trace.KindForward && l.To.NetNS == request.Start().NetNS {
		l.Kind = trace.KindDeliver
	}
}
