// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// root is the index of the root span.
const root = 0

// builder makes the spans of one trace.
type builder struct {
	opts     *Options
	places   places
	follower *packet.Follower
	sorted   *sorted
	ping     *ping
	trace    *trace.Trace
	headers  *headerTexts
	packets  *packets
	// parts are those of the leaf whose span was added last.
	parts []packet.Leaf
	// unseen is set once there is a span of that kind, and mixed once a span has several events.
	unseen, mixed bool
	// request and reply are the first journeys of each kind, or nil; extra are the
	// others.
	request, reply *leg
	extra          []*leg
}

// leg is a journey and what the trace makes of it.
type leg struct {
	*packet.Journey
	kind trace.Kind
	// span is the index of the journey's span in the trace.
	span int
}

// legsOf appends the legs of journeys of a kind to dst, which has room for them.
func legsOf(dst []leg, kind trace.Kind, js []*packet.Journey) []leg {
	for _, j := range js {
		dst = append(dst, leg{Journey: j, kind: kind})
	}
	return dst
}

// newBuilder needs at least one journey.
func newBuilder(a *assembler, p *ping, l legs) *builder {
	t := &trace.Trace{Spans: make([]trace.Span, 0, 2+spanCount(l.requests)+spanCount(l.replies))}
	b := &a.builder
	*b = builder{
		opts: &a.opts, places: places{resolver: a.opts.Resolver},
		follower: a.requests, sorted: &a.sorted, ping: p, trace: t,
		headers: &a.headers, packets: &a.packets, parts: b.parts[:0], extra: b.extra[:0],
	}
	all := slices.Grow(a.legsOf[:0], len(l.requests)+len(l.replies))
	all = legsOf(legsOf(all, trace.KindRequest, l.requests), trace.KindReply, l.replies)
	a.legsOf = all
	for i := range all {
		j := &all[i]
		switch {
		case j.kind == trace.KindRequest && b.request == nil:
			b.request = j
		case j.kind == trace.KindReply && b.reply == nil:
			b.reply = j
		default:
			b.extra = append(b.extra, j)
		}
	}
	b.describe()
	return b
}

// describe says whose ping it is.
func (b *builder) describe() {
	t, first := b.trace, b.firstEvent()
	t.Local = b.ping.onlyHere()
	t.Threshold = uint64(b.sorted.threshold) << 24 // of 56 bits
	t.Ping = pingOf(first)
	t.Ping.PayloadLen = b.payloadLen()
	t.Sent = b.request != nil && b.request.Sent()
}

// payloadLen returns the length of the payload in bytes, or -1 if only fragments of the
// packets were seen.
func (b *builder) payloadLen() int {
	for _, events := range [...][]*event.Event{b.sorted.requests, b.sorted.replies} {
		for _, ev := range events {
			if ev.Flags&(event.FirstFragment|event.LaterFragment) == 0 {
				return int(ev.PayloadLen)
			}
		}
	}
	return -1
}

// spanCount returns how many spans journeys need at most.
func spanCount(js []*packet.Journey) int {
	n := len(js)
	for _, j := range js {
		n += len(j.Leaves) / 2 // a hop has two leaves or more
		for i := range j.Leaves {
			n += j.Leaves[i].Size()
		}
	}
	return n
}

// firstEvent returns the first event of the earlier journey.
func (b *builder) firstEvent() *event.Event {
	if b.request != nil {
		return b.request.Start()
	}
	return b.reply.Start()
}

// pingOf describes the ping as its sender sees it.
func pingOf(first *event.Event) trace.Ping {
	p := trace.Ping{
		Src: first.Src.Addr(), Dst: first.Dst.Addr(),
		ID: first.ID, Seq: first.Seq,
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
		b.trace.ReplySpan = b.reply.span
	}
	nth := map[trace.Kind]int{}
	for _, j := range b.extra {
		nth[j.kind]++
		b.addJourney(j, nth[j.kind])
		if j.kind == trace.KindReply && b.arrived(j) {
			b.trace.Duplicates++
		}
	}
	b.addActions()
	b.addErrors()
	if b.mixed {
		b.sortEvents()
	}
	b.judge()
	b.markUnfinished()
	b.opts.identify(b.trace, b.firstEvent(), b.reply != nil && b.reply.Ending() == packet.Left)
	return b.trace
}

// addRoot adds the span of the whole ping: to the last that was seen of it.
func (b *builder) addRoot() {
	first := b.earliest()
	_, s := b.addSpan(trace.NoParent, trace.KindPing, first, b.lastEvent())
	src, dst := event.AddressFrom(b.trace.Ping.Src), event.AddressFrom(b.trace.Ping.Dst)
	s.Packet = b.packets.between(&src, &dst, first)
}

// earliest returns the event at which the root begins: a copy of the request may have been
// seen before it, and what was done to it, or an ICMP error about it, before any hook.
func (b *builder) earliest() *event.Event {
	first := b.firstEvent()
	for _, events := range [...][]*event.Event{b.sorted.errors, b.sorted.acts} {
		if len(events) > 0 && events[0].Time < first.Time {
			first = events[0]
		}
	}
	for j := range b.journeys {
		if j.Start().Time < first.Time {
			first = j.Start()
		}
	}
	return first
}

// lastEvent returns the event at which the root ends.
func (b *builder) lastEvent() *event.Event {
	last := b.firstEvent()
	for j := range b.journeys {
		if j.Last().Time > last.Time {
			last = j.Last()
		}
	}
	for _, events := range [...][]*event.Event{b.sorted.errors, b.sorted.acts} {
		if n := len(events); n > 0 && events[n-1].Time > last.Time {
			last = events[n-1]
		}
	}
	return last
}

// journeys yields the request's journey, the reply's, and the others.
func (b *builder) journeys(yield func(*leg) bool) {
	for _, j := range [...]*leg{b.request, b.reply} {
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
	out, in := b.request.Last(), b.reply.Start()
	if out == in || in.Time < out.Time {
		return
	}
	_, s := b.addSpan(root, b.turn(), out, in)
	s.Leaf = true
}

// turn says where the ping was between the end of the request's journey and the
// beginning of the reply's: with a process of the same namespace, or beyond this host,
// from where the reply may come back on another device.
func (b *builder) turn() trace.Kind {
	out, in := b.request.Last(), b.reply.Start()
	made := packet.Born(in)
	switch ending := b.request.Ending(); {
	case ending == packet.HandedOver && made && out.NetNS == in.NetNS:
		return trace.KindRespond
	case ending == packet.Left && !made && packet.Enters(in):
		return trace.KindBeyond
	case ending == packet.Open && made && b.follower.Guest(in):
		return trace.KindBeyond
	}
	return trace.KindUnseen
}

// addSpan adds a span from one event to another, in the namespace of the first, below that at index
// parent. It returns its index, and where it is until the next is added.
func (b *builder) addSpan(parent int, kind trace.Kind, from, to *event.Event) (int, *trace.Span) {
	i, s := b.trace.Open(parent, kind)
	b.unseen = b.unseen || kind == trace.KindUnseen
	s.Start, s.End = int64(from.Time), int64(to.Time)
	s.NetNS = b.places.netNS(from.NetNS)
	s.Packet = b.packets.at(from)
	if kind == trace.KindPing || kind.Journey() {
		return i, s
	}
	s.Device = b.places.device(from)
	if !packet.SameDevice(from, to) && kind != trace.KindDeliver && kind != trace.KindRespond {
		s.Peer = b.places.device(to)
	}
	return i, s
}

// fillPlace says of a leaf's span where it is, if that is not as of other spans.
func (b *builder) fillPlace(s *trace.Span, l *packet.Leaf) {
	if l.Onto != nil && l.Onto.IfIndex != 0 {
		s.Peer = b.places.device(l.Onto)
	}
	if ns := l.NetNS(); ns != l.From.NetNS {
		s.NetNS, s.Device, s.Peer = b.places.netNS(ns), nil, nil
		if l.To.IfIndex != 0 {
			s.Device = b.opts.Resolver.Device(ns, l.To.IfIndex)
		}
	}
}
