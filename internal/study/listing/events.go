// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
)

// errNoEcho is for a listing of nothing but tunnel packets.
var errNoEcho = errors.New("only tunnel packets: it is not known which echo they carry")

// follower turns lines into events. It follows one packet at a time, because a listing
// says no more than in which order the lines were printed.
type follower struct {
	names *names
	// pings counts those that began so far, first is the first line of the last.
	pings int
	first Line
	// echo is the last line of the packet in progress that was outside of a tunnel.
	echo Line
	// visited are the namespaces in which the packet in progress has arrived.
	visited []uint32
	// midway is set if the packet was on its way when the listing began.
	midway bool
	// pairs are the devices that are pairs, which a listing does not say.
	pairs event.Pairs
}

// events makes the events of lines, and counts the pings.
func (n *names) events(lines []Line) ([]event.Event, int, error) {
	first := slices.IndexFunc(lines, func(l Line) bool { return l.Type != Tunnel })
	if first < 0 {
		return nil, 0, errNoEcho
	}
	f := follower{names: n}
	f.begin(lines[first], lines[0])
	events := make([]event.Event, 0, len(lines))
	for _, l := range lines {
		f.follow(l)
		events = append(events, f.event(l))
	}
	return events, f.pings, nil
}

// follow notes which packet a line is about.
func (f *follower) follow(l Line) {
	switch {
	case l.Type == Tunnel:
		return
	case f.begins(l):
		f.begin(l, l)
	case l.Type != f.echo.Type:
		f.visited, f.midway = f.visited[:0], false
	}
	f.echo = l
}

// begins reports whether a line is the first of another ping: a request after a reply,
// or one where the ping in progress began, which has then lost its reply.
func (f *follower) begins(l Line) bool {
	if l.Type != Request {
		return false
	}
	again := f.first
	again.Time, again.Src, again.Dst = l.Time, l.Src, l.Dst
	return f.echo.Type == Reply || l == again && l.Time > f.first.Time
}

// begin starts a ping with its first line outside of a tunnel and its first of all. A
// reply that comes first was on its way before.
func (f *follower) begin(echo, first Line) {
	f.pings++
	f.echo, f.first = echo, first
	f.visited, f.midway = f.visited[:0], echo.Type == Reply
}

// event makes the event of a line. A listing does not contain what is 0 in it.
func (f *follower) event(l Line) event.Event {
	ev := event.Event{
		Time: l.Time, NetNS: l.NetNS, Hook: l.Hook.Hook, Code: codeOf(l, f.names.reason),
		Type: event.EchoRequest, Seq: uint16(f.pings), Payload: f.payload(), PayloadLen: event.PayloadPrefix,
		Src: event.AddressFrom(f.echo.Src), Dst: event.AddressFrom(f.echo.Dst),
	}
	ev.IfIndex, ev.Flags = f.names.device(l)
	if f.echo.Type == Reply {
		ev.Type = event.EchoReply
	}
	if f.echo.Src.Unmap().Is6() {
		ev.Flags |= event.IPv6
	}
	if l.Type == Tunnel {
		ev.Depth = 1
		ev.Tunnels[0] = event.Tunnel{Src: event.AddressFrom(l.Src), Dst: event.AddressFrom(l.Dst), Type: event.VXLAN}
	}
	if f.midway || slices.Contains(f.visited, l.NetNS) {
		ev.Flags |= event.Received
	}
	if l.Hook.Inbound {
		f.visited = append(f.visited, l.NetNS)
	}
	f.pairs.Infer(&ev)
	return ev
}

// payload makes a ping an identity of its own, also among those of other listings: it
// is the time and the namespace of its first line, where ping would have its clock.
func (f *follower) payload() (p [event.PayloadPrefix]byte) {
	binary.BigEndian.PutUint64(p[:], f.first.Time)
	binary.BigEndian.PutUint32(p[8:], f.first.NetNS)
	binary.BigEndian.PutUint32(p[12:], uint32(f.pings))
	return p
}
