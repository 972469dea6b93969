// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// maxJourneys bounds the journeys shown of one kind in one ping.
const maxJourneys = 16

// journey is one packet's way through this host: the path of the packet itself, and
// the copies that left it.
type journey struct {
	kind   trace.Kind
	path   path
	leaves []leaf
	copies []path
	// span is the index of the journey's span in the trace.
	span int
}

func (j *journey) start() *event.Event { return j.path.first() }
func (j *journey) end() *event.Event   { return j.path.last() }

// delivered reports whether a process took the packet.
func (j *journey) delivered() bool { return j.end().Hook == event.SKBCopyDatagramIovec }

// ended reports whether it is known how the journey ended: the packet died, or its last
// leaf is one of those with which a packet leaves the host or is taken.
func (j *journey) ended() bool {
	if len(j.leaves) > 0 {
		switch j.leaves[len(j.leaves)-1].kind {
		case trace.KindDriver, trace.KindDeliver:
			return true
		}
	}
	return j.end().Hook == event.KfreeSKB
}

// assembler makes traces of finished pings. It keeps its working memory from one to
// the next.
type assembler struct {
	opts               Options
	requests, replies  []*event.Event
	reqTree, replyTree tree
}

// assemble makes the trace of p, or returns nil if nothing of p was seen but returns of
// drivers, which are not steps of a journey.
func (a *assembler) assemble(p *ping) *trace.Trace {
	a.sort(p)
	a.reqTree = grow(a.reqTree, a.requests)
	a.replyTree = grow(a.replyTree, a.replies)
	replies := a.journeys(trace.KindReply, a.replyTree, -1)
	requests := a.requestJourneys(replies)
	if len(requests)+len(replies) == 0 {
		return nil
	}
	return newBuilder(a.opts, p, requests, replies).build()
}

// sort parts the events of p into requests and replies and puts each in order.
func (a *assembler) sort(p *ping) {
	a.requests, a.replies = a.requests[:0], a.replies[:0]
	for i := range p.events {
		ev := &p.events[i]
		if ev.Type == event.EchoRequest {
			a.requests = append(a.requests, ev)
		} else {
			a.replies = append(a.replies, ev)
		}
	}
	slices.SortFunc(a.requests, byTime)
	slices.SortFunc(a.replies, byTime)
}

// journeys parts a tree into journeys, the packet's own first, which ends at the node
// end if that is not negative. What has a beginning of its own is a journey, and so is
// a copy of a reply that was delivered; other branches are copies that left a journey.
func (a *assembler) journeys(kind trace.Kind, t tree, end int) []*journey {
	var js []*journey
	if end < 0 {
		end = a.choose(t)
	}
	for ; end >= 0 && len(js) < maxJourneys; end = a.choose(t) {
		if at := t.fork(end); at >= 0 && !arrives(t[end].ev) {
			j := js[t[at].owner-1]
			j.copies = append(j.copies, t.take(end, t[at].owner))
			continue
		}
		js = append(js, &journey{kind: kind, path: t.take(end, len(js)+1)})
	}
	for _, j := range js {
		j.leaves = cut(j.path)
	}
	return js
}

// arrives reports whether ev is a reply being taken by a process.
func arrives(ev *event.Event) bool {
	return ev.Type == event.EchoReply && ev.Hook == event.SKBCopyDatagramIovec
}

func (a *assembler) choose(t tree) int {
	return t.choose(a.opts.Resolver.DropReason, a.entry())
}

// entry returns the request's arrival if that is where it was seen first.
func (a *assembler) entry() *event.Event {
	if len(a.requests) > 0 && a.requests[0].Hook.Arrival() {
		return a.requests[0]
	}
	return nil
}

// requestJourneys returns the journeys of the request. The first ends where the reply
// begins if that was made on this host.
func (a *assembler) requestJourneys(replies []*journey) []*journey {
	if len(replies) == 0 {
		return a.journeys(trace.KindRequest, a.reqTree, -1)
	}
	reply, end := replies[0], -1
	if originates(reply.start()) {
		end = a.reqTree.answered(reply.start())
	}
	js := a.journeys(trace.KindRequest, a.reqTree, end)
	if len(js) > 0 {
		js[0].meet(reply.start())
		a.diedAtHome(reply)
	}
	return js
}

// meet lets a request's journey end where the reply begins: at the reply if the kernel
// made it while it handled the request, and not later than the reply.
func (j *journey) meet(reply *event.Event) {
	switch last := j.end(); {
	case answers(last, reply):
		j.path = append(j.path, reply)
	case last.Hook == event.NetDevXmit && last.Time > reply.Time:
		j.path = j.path[:len(j.path)-1] // the driver returned when the reply was there already
	default:
		return
	}
	j.leaves = cut(j.path)
}

// diedAtHome calls it delivery and not forwarding if the reply was dropped in the
// namespace that the request came from: it had nowhere else to go.
func (a *assembler) diedAtHome(reply *journey) {
	last := len(reply.leaves) - 1
	if last < 0 || !originates(a.requests[0]) {
		return
	}
	l := &reply.leaves[last]
	if l.kind == trace.KindForward && l.to.Hook == event.KfreeSKB && l.to.NetNS == a.requests[0].NetNS {
		l.kind = trace.KindDeliver
	}
}
