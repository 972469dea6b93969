// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// judge says how the ping ended.
func (b *builder) judge() {
	b.trace.Outcome, b.trace.Cause = b.verdict()
	if b.trace.Outcome == trace.Expired {
		b.forgive()
	}
}

// forgive takes back that anything went wrong: the packet died as its sender wanted it to, or
// as it had to. That it died there stands in the span event.
func (b *builder) forgive() {
	b.trace.DropReason = ""
	for i := range b.trace.Spans {
		b.trace.Spans[i].Error = ""
	}
}

// verdict returns the outcome, and the cause if that is Incomplete. What is known for
// certain to have gone wrong in tracing comes before what seems to be missing.
func (b *builder) verdict() (trace.Outcome, trace.Cause) {
	if b.ping.cause == trace.CauseEventsLost {
		return trace.Incomplete, b.ping.cause
	}
	missing := b.missing()
	answered := b.reply != nil && missing == ""
	switch {
	case !answered && b.expired():
		return trace.Expired, ""
	case missing == "" && b.trace.DropReason != "":
		return trace.Dropped, ""
	case !answered && b.refused():
		return trace.Unreachable, ""
	case missing == "":
		return trace.Complete, ""
	case b.opts.Partial && missing != trace.CauseNoReply:
		return trace.Partial, ""
	case b.beganBefore(missing):
		return trace.Incomplete, trace.CauseAgentStarted
	case b.ping.cause != "" && b.ping.done == 0:
		return trace.Incomplete, b.ping.cause
	}
	return trace.Incomplete, missing
}

// missing returns what was not seen of the ping, or "".
func (b *builder) missing() trace.Cause {
	switch {
	case b.request == nil:
		return trace.CauseNoRequest
	case !b.request.Begun() || b.unseen:
		return trace.CauseUnseen
	case b.trace.DropReason != "":
		return ""
	case b.reply == nil:
		return trace.CauseNoReply
	case !b.arrived(b.reply):
		return trace.CauseNotDelivered
	}
	return ""
}

// arrived reports whether a reply came back to where the request came from: to a
// process, or out of this host's sight if that is where the request had come from.
func (b *builder) arrived(reply *leg) bool {
	if reply.Ending() == packet.HandedOver {
		return true
	}
	if b.request == nil {
		return false
	}
	switch reply.Ending() {
	case packet.Left:
		return !b.request.Sent() && b.leaves(reply)
	case packet.Open:
		return b.reachedGuest(reply)
	}
	return false
}

// leaves reports whether a reply, which a driver has taken, has left this host's sight:
// where the request came in, or through any other device that leads away, or at least in
// the namespace in which the request came in.
func (b *builder) leaves(reply *leg) bool {
	in, out := b.request.Start(), reply.Last()
	return in.NetNS == out.NetNS || b.follower.LeadsAway(out)
}

// reachedGuest reports whether the request came from a virtual machine on a device that
// is stacked on another, and a reply was last seen coming in there.
func (b *builder) reachedGuest(reply *leg) bool {
	in, out := b.request.Start(), reply.Last()
	return b.follower.Guest(in) && packet.Inbound(out) && (packet.SameDevice(in, out) || b.follower.Stacked(in, out))
}

// expired reports whether an ICMP error said that a packet's time to live ran out.
func (b *builder) expired() bool {
	for _, ev := range b.sorted.errors {
		if typ, _ := icmpError(ev); typ == timeExceeded(ev) {
			return true
		}
	}
	return false
}

// refused reports whether another ICMP error about the request was seen.
func (b *builder) refused() bool {
	for _, ev := range b.sorted.errors {
		if typ, _ := icmpError(ev); ev.Type == event.RequestError && typ != timeExceeded(ev) {
			return true
		}
	}
	return false
}

// icmpError returns the type and the code of the ICMP error that ev is about.
func icmpError(ev *event.Event) (typ, code uint8) {
	id := ev.Tunnels[0].ID
	return uint8(id >> 8), uint8(id)
}

// timeExceeded returns the ICMP type "time exceeded" of the packet's family (RFC 792, 4443).
func timeExceeded(ev *event.Event) uint8 {
	if ev.Flags.Has(event.IPv6) {
		return 3
	}
	return 11
}

// beganBefore reports whether the ping began before tracing did, and whether that explains
// what is missing. The payload says when it was sent, if its clock agrees with ours.
// Without that, it may be so for a ping that was first seen while tracing was new.
func (b *builder) beganBefore(missing trace.Cause) bool {
	if missing == trace.CauseNoReply || missing == trace.CauseNotDelivered {
		return false
	}
	first := b.firstEvent()
	start, timeout := b.opts.Start, uint64(b.opts.Timeout)
	seen := int64(first.Time) + b.opts.Wall
	sent, ok := sentAt(first, seen)
	if ok && sent <= seen && seen-sent < int64(timeout) {
		return sent < int64(start)+b.opts.Wall
	}
	return b.ping.first < start+timeout
}
