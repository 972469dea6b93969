// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// root is the index of the root span.
const root = 0

// builder makes the spans of one trace.
type builder struct {
	opts  Options
	ping  *ping
	trace *trace.Trace
	// request and reply are the first journeys of each kind, or nil; extra are the
	// others.
	request, reply *journey
	extra          []*journey
}

// newBuilder needs at least one journey.
func newBuilder(opts Options, p *ping, requests, replies []*journey) *builder {
	t := &trace.Trace{Local: p.local, Spans: make([]trace.Span, 0, 2+spanCount(requests)+spanCount(replies))}
	b := &builder{opts: opts, ping: p, trace: t}
	if len(requests) > 0 {
		b.request, b.extra = requests[0], requests[1:]
	}
	if len(replies) > 0 {
		b.reply, b.extra = replies[0], append(b.extra, replies[1:]...)
	}
	first := b.firstEvent()
	if p.local {
		t.ID = opts.Key.localID(first)
	} else {
		t.ID, _ = Identify(opts.Key, first.Seq, first.Payload, first.PayloadLen)
	}
	t.Ping = pingOf(first)
	t.Sent = b.request != nil && (originates(first) || stillborn(first))
	return b
}

// spanCount returns how many spans journeys need at most.
func spanCount(js []*journey) int {
	n := len(js)
	for _, j := range js {
		n += len(j.leaves)
		for i := range j.leaves {
			n += len(j.leaves[i].inside) + 1
			if hopSize(j.leaves[i:]) > 0 {
				n++
			}
		}
	}
	return n
}

// firstEvent returns the first event of the earlier journey.
func (b *builder) firstEvent() *event.Event {
	if b.request != nil {
		return b.request.start()
	}
	return b.reply.start()
}

// pingOf describes the ping as its sender sees it.
func pingOf(first *event.Event) trace.Ping {
	p := trace.Ping{
		Src: first.Src.Addr(), Dst: first.Dst.Addr(),
		ID: first.ID, Seq: first.Seq, PayloadLen: int(first.PayloadLen),
	}
	if first.Type == event.EchoReply {
		p.Src, p.Dst = p.Dst, p.Src
	}
	return p
}

// build makes all spans, the root first, and judges how the ping ended.
func (b *builder) build() *trace.Trace {
	b.addRoot()
	if b.request != nil {
		b.addJourney(b.request, 0)
	}
	if b.request != nil && b.reply != nil {
		b.addTurn()
	}
	if b.reply != nil {
		b.addJourney(b.reply, 0)
	}
	nth := map[trace.Kind]int{}
	for _, j := range b.extra {
		nth[j.kind]++
		b.addJourney(j, nth[j.kind])
		if arrives(j.end()) {
			b.trace.Duplicates++
		}
	}
	b.judge()
	b.markUnfinished()
	return b.trace
}

// addRoot adds the span of the whole ping: to the delivery of the first reply, or to
// the last that was seen of it.
func (b *builder) addRoot() {
	p := b.trace.Ping
	s := b.newSpan(trace.KindPing, b.firstEvent(), b.lastEvent())
	s.ID = b.opts.Key.rootID(b.trace.ID, b.passedHost())
	s.Title = p.String()
	b.trace.Add(trace.NoParent, s)
}

// passedHost returns this host's ID if the ping was not sent on it, otherwise "".
func (b *builder) passedHost() string {
	if b.trace.Sent {
		return ""
	}
	return b.opts.HostID
}

// lastEvent returns the event at which the root ends.
func (b *builder) lastEvent() *event.Event {
	if b.reply != nil && b.reply.delivered() {
		return b.reply.end()
	}
	last := b.firstEvent()
	for j := range b.journeys {
		if j.end().Time > last.Time {
			last = j.end()
		}
	}
	return last
}

// journeys yields the request's journey, the reply's, and the others.
func (b *builder) journeys(yield func(*journey) bool) {
	for _, j := range [...]*journey{b.request, b.reply} {
		if j != nil && !yield(j) {
			return
		}
	}
	for _, j := range b.extra {
		if !yield(j) {
			return
		}
	}
}

// addTurn adds what is between the request's journey and the reply's, if anything: a
// process that answers, or the world beyond this host.
func (b *builder) addTurn() {
	out, in := b.request.end(), b.reply.start()
	if out == in || in.Time < out.Time {
		return
	}
	kind := trace.KindUnseen
	switch {
	case out.Hook == event.SKBCopyDatagramIovec && out.NetNS == in.NetNS:
		kind = trace.KindRespond
	case sameDevice(out, in) && in.Hook.Inbound() && !out.Hook.Inbound():
		kind = trace.KindBeyond
	}
	s := b.newSpan(kind, out, in)
	s.Leaf = true
	s.ID = b.opts.Key.childID(b.trace.Root().ID, 0)
	b.trace.Add(root, s)
}

// newSpan makes a span from one event to another, in the namespace of the first.
func (b *builder) newSpan(kind trace.Kind, from, to *event.Event) trace.Span {
	r := b.opts.Resolver
	s := trace.Span{
		Kind:  kind,
		Start: int64(from.Time), End: int64(to.Time),
		NetNS:  r.NetNS(from.NetNS),
		Packet: packetOf(from),
	}
	if kind == trace.KindPing || kind.Journey() {
		return s
	}
	if from.IfIndex != 0 {
		s.Device = r.Device(from.NetNS, from.IfIndex)
	}
	if to.IfIndex != 0 && !sameDevice(from, to) && !answers(from, to) && to.Hook != event.SKBCopyDatagramIovec {
		s.Peer = r.Device(to.NetNS, to.IfIndex)
	}
	return s
}

// packetOf returns the addresses that a packet has at an event.
func packetOf(ev *event.Event) trace.Packet {
	p := trace.Packet{Src: ev.Src.Addr(), Dst: ev.Dst.Addr()}
	if encapsulated(ev) {
		outer := &ev.Tunnels[0]
		p.Tunnel, p.TunnelID, p.Depth = outer.Type.String(), outer.ID, ev.Depth
		if outer.Src != (event.Address{}) {
			p.OuterSrc, p.OuterDst = outer.Src.Addr(), outer.Dst.Addr()
		}
	}
	return p
}
