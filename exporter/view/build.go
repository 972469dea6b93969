// SPDX-License-Identifier: Apache-2.0

package view

import "github.com/dwelltrace/dwell/correlate/trace"

// builder makes one view.
type builder struct {
	viewer *Viewer
	from   *trace.Trace
	// classes says whose each leaf is, visible whether the viewer may see it.
	classes []class
	visible []bool
	// strict is set if another tenant takes part in the ping, or may do so.
	strict bool
	// routes and tunnels are those that the viewer has seen on its own devices.
	routes  []route
	tunnels []tunnel
	// packetFrom is the packet that was asked for last, and packetSeen what the viewer sees of it.
	packetFrom, packetSeen *trace.Packet

	out *trace.Trace
	// origin is the index in the original of each span of out, or leftOut.
	origin []int
	// ports are those on bridges of others, as the viewer sees them.
	ports map[*trace.Device]*trace.Device
}

// build makes the view. The root comes first and is completed last.
func (b *builder) build() *trace.Trace {
	t := *b.from
	t.ReplySpan = 0
	t.Spans = make([]trace.Span, 0, len(b.from.Spans)+1)
	b.out = &t
	b.put(trace.NoParent, *b.from.Root(), 0)
	request, reply := b.firstSeen(trace.KindRequest), b.firstSeen(trace.KindReply)
	if request > 0 {
		b.add(0, request)
	}
	if request > 0 && reply > 0 {
		b.addTurn(request, reply)
	}
	if reply > 0 {
		b.add(0, reply)
	}
	t.Duplicates = min(t.Duplicates, b.addOthers(request, reply))
	b.judge(request, reply)
	b.complete(request, reply)
	b.identify()
	return b.out
}

// put adds a span to the view that is the one at index origin of the original, and returns its
// index.
func (b *builder) put(parent int, s trace.Span, origin int) int {
	b.origin = append(b.origin, origin)
	return b.out.Add(parent, s)
}

// firstSeen returns the index of the first journey of a kind of which anything is visible, or
// 0.
func (b *builder) firstSeen(kind trace.Kind) int {
	for i := 1; i < len(b.from.Spans); i = b.from.After(i) {
		if b.from.Spans[i].Kind == kind && b.seen(i) {
			return i
		}
	}
	return 0
}

// addOthers adds the other journeys, and returns of how many replies they are.
func (b *builder) addOthers(request, reply int) (replies int) {
	for i := 1; i < len(b.from.Spans); i = b.from.After(i) {
		if kind := b.from.Spans[i].Kind; kind.Journey() && i != request && i != reply && b.seen(i) {
			b.add(0, i)
			if kind == trace.KindReply {
				replies++
			}
		}
	}
	return replies
}

// seen reports whether anything of the span at index i of the original is visible.
func (b *builder) seen(i int) bool { return b.first(i) >= 0 }

// first returns the index of the first visible leaf of the span at index i, which may be the
// span itself, or -1.
func (b *builder) first(i int) int {
	for n, end := i, b.from.After(i); n < end; n++ {
		if b.visible[n] {
			return n
		}
	}
	return -1
}

// last returns the index of the last visible leaf of the span at index i, or -1.
func (b *builder) last(i int) int {
	for n := b.from.After(i) - 1; n >= i; n-- {
		if b.visible[n] {
			return n
		}
	}
	return -1
}

// add adds what is visible of the span at index i of the original below the one at index
// parent of the view. Where leaves are left out between visible ones, one span stands for them:
// the spans around end and begin with what is visible.
func (b *builder) add(parent, i int) {
	s := b.from.Spans[i]
	first, last := b.first(i), b.last(i)
	if first != i {
		b.trim(&s, i, first, last)
	}
	s.NetNS = b.from.Spans[first].NetNS
	s.Device, s.Peer = b.device(s.Device), b.device(s.Peer)
	s.Packet = b.packet(s.Packet)
	s.Events = b.events(s.Events)
	at := b.put(parent, s, i)
	if first == i {
		return
	}
	before := -1
	for c, end := i+1, b.from.After(i); c < end; c = b.from.After(c) {
		if !b.seen(c) {
			continue
		}
		if before >= 0 && b.gap(before, b.first(c)) {
			b.addBeyond(at, before, b.first(c))
		}
		b.add(at, c)
		before = b.last(c)
	}
}

// trim makes a span begin and end with its first and its last visible leaf.
func (b *builder) trim(s *trace.Span, i, first, last int) {
	f, l := &b.from.Spans[first], &b.from.Spans[last]
	if b.gap(i, first) {
		s.Start, s.Packet = f.Start, f.Packet
		if s.Device != nil {
			s.Device = f.Device
		}
	}
	if b.gap(last, b.from.After(i)) {
		s.End = l.End
		if s.Device != nil {
			s.Peer = other(s.Device, end(l))
		}
	}
	failed := func(s *trace.Span) bool { return s.Error != "" }
	open := func(s *trace.Span) bool { return s.Unfinished }
	if !b.any(i, failed) {
		s.Error = ""
	}
	s.Unfinished = s.Unfinished && b.any(i, open)
}

// any reports whether a visible leaf of the span at index i is like that.
func (b *builder) any(i int, is func(*trace.Span) bool) bool {
	for n, end := i, b.from.After(i); n < end; n++ {
		if b.visible[n] && is(&b.from.Spans[n]) {
			return true
		}
	}
	return false
}

// gap reports whether there are hidden leaves between two indices of the original.
func (b *builder) gap(from, to int) bool {
	for i := from + 1; i < to; i++ {
		if b.from.Spans[i].Leaf && !b.visible[i] {
			return true
		}
	}
	return false
}

// addTurn adds what is between the request and the reply: as it is if the viewer may see it,
// and if it may see where it begins and ends.
func (b *builder) addTurn(request, reply int) {
	turn := b.from.After(request)
	if turn < reply && !b.from.Spans[turn].Kind.Journey() && !b.gap(b.last(request), turn) && !b.gap(turn, b.first(reply)) && b.classes[turn] != hidden {
		s := b.from.Spans[turn]
		s.Device, s.Peer = b.device(s.Device), b.device(s.Peer)
		s.Packet, s.Events = b.packet(s.Packet), b.events(s.Events)
		b.put(0, s, turn)
		return
	}
	b.addBeyond(0, b.last(request), b.first(reply))
}

// addBeyond adds the span that stands for all that is hidden between two visible leaves.
func (b *builder) addBeyond(parent, before, after int) {
	from, to := &b.from.Spans[before], &b.from.Spans[after]
	if to.Start <= from.End {
		return
	}
	s := trace.Span{
		Kind: trace.KindBeyond, Leaf: true,
		Start: from.End, End: to.Start, NetNS: from.NetNS,
	}
	// Finer leaves are not about devices.
	from, to = &b.from.Spans[whole(b.from, before)], &b.from.Spans[whole(b.from, after)]
	in := b.device(to.Device)
	if s.Device = b.device(from.Peer); s.Device == nil {
		s.Device = b.device(from.Device)
	}
	if s.Device == nil {
		s.Device = in
	}
	s.Peer = other(s.Device, in)
	if s.Device != nil {
		s.NetNS = s.Device.NetNS
	}
	b.put(parent, s, leftOut)
}

// device returns a device if the viewer may see it, without the name of the bridge that it is a
// port of if that is another tenant's: a port belongs to its own owner first.
func (b *builder) device(d *trace.Device) *trace.Device {
	switch {
	case d == nil || b.viewer.ofDevice(d) == hidden:
		return nil
	case d.Bridge == "" || !d.NetNS.Shared || b.viewer.ForeignBridge == nil || !b.viewer.ForeignBridge(d.Bridge):
		return d
	}
	if b.ports[d] == nil {
		if b.ports == nil {
			b.ports = map[*trace.Device]*trace.Device{}
		}
		port := *d
		port.Bridge = ""
		b.ports[d] = &port
	}
	return b.ports[d]
}

// end returns the device at which a span ends.
func end(s *trace.Span) *trace.Device {
	if s.Peer != nil {
		return s.Peer
	}
	return s.Device
}

// other returns d if it is another device than than.
func other(than, d *trace.Device) *trace.Device {
	if d == nil || than != nil && d.Place() == than.Place() {
		return nil
	}
	return d
}
