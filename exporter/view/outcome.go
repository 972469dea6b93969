// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// complete makes the root and what is said of the trace as a whole fit what is visible.
func (b *builder) complete(request, reply int) {
	t, from := b.out, b.from
	r := t.Root()
	r.Device, r.Peer, r.Error, r.Events = nil, nil, "", nil
	begun := request
	if begun == 0 {
		begun = reply
	}
	if b.wholeTrace() {
		r.Events = b.events(from.Root().Events)
	} else {
		b.bound(r)
	}
	if t.Outcome == trace.Dropped {
		r.Error = from.Root().Error
	} else {
		t.DropReason = ""
	}
	t.RemoteTurn = trace.SpanID{} // what the tenant sees there, it may not be in
	starts := b.startsVisibly(begun)
	t.Sent = from.Sent && starts
	if from.Sent && !t.Sent {
		t.Remote = trace.SpanID{}
	}
	if !starts || !b.mayShow(from.Ping.Src, from.Ping.Dst) {
		t.Ping = b.ping()
	}
	r.Packet = &trace.Packet{Src: t.Ping.Src, Dst: t.Ping.Dst}
}

// wholeTrace reports whether no leaf is left out.
func (b *builder) wholeTrace() bool {
	for i := range b.from.Spans {
		if b.leftOut(i) {
			return false
		}
	}
	return true
}

// bound makes the root begin and end with the journeys of the view.
func (b *builder) bound(r *trace.Span) {
	for i, n := 1, 0; i < len(b.out.Spans); i = b.out.After(i) {
		s := &b.out.Spans[i]
		if n++; n == 1 {
			r.Start, r.End, r.NetNS = s.Start, s.End, s.NetNS
			continue
		}
		if s.Start < r.Start {
			r.Start, r.NetNS = s.Start, s.NetNS
		}
		r.End = max(r.End, s.End)
	}
}

// startsVisibly reports whether the viewer sees the beginning of the journey at index j.
func (b *builder) startsVisibly(j int) bool { return b.visible[b.leavesOf(j)[0]] }

// endsVisibly reports whether the viewer sees the end of the journey at index j.
func (b *builder) endsVisibly(j int) bool {
	leaves := b.leavesOf(j)
	return b.visible[leaves[len(leaves)-1]]
}

// judge says how the ping ended as far as the viewer can know. What happened in a hidden part
// is what happened on another host: a reply that left for there has arrived, and one that did
// not come from there is missing.
func (b *builder) judge(request, reply int) {
	t := b.out
	switch t.Outcome {
	case trace.Dropped:
		here := func(s *trace.Span) bool { return s.Error == b.from.DropReason }
		if request > 0 && b.any(request, here) || reply > 0 && b.any(reply, here) {
			return
		}
	case trace.Complete:
		if request > 0 && reply > 0 {
			return
		}
	case trace.Expired, trace.Unreachable:
		if b.isTold(request) {
			return
		}
	case trace.Incomplete:
		if !b.hides(t.Cause, reply) {
			return
		}
	default:
		return
	}
	t.Outcome, t.Cause = trace.Incomplete, trace.CauseNoReply
	switch {
	case reply == 0:
	case request == 0:
		t.Cause = trace.CauseNoRequest
	case b.startsVisibly(request) && !b.endsVisibly(reply):
		t.Cause = trace.CauseNotDelivered
	default:
		t.Outcome, t.Cause = trace.Complete, ""
	}
}

// isTold reports whether an ICMP error about the ping reaches the viewer: it is seen on the
// way, or is about a packet that died with the viewer, or about the request that it has sent.
func (b *builder) isTold(request int) bool {
	tells := func(e trace.Event) bool { return e.Name == trace.EventICMPError || e.Name == trace.EventDrop }
	for i := range b.out.Spans {
		if slices.ContainsFunc(b.out.Spans[i].Events, tells) {
			return true
		}
	}
	return request > 0 && b.startsVisibly(request) && b.classes[b.leavesOf(request)[0]] == own && b.from.ReplySpan == 0
}

// hides reports whether the reason why a ping is incomplete lies in what is hidden.
func (b *builder) hides(c trace.Cause, reply int) bool {
	switch c {
	case trace.CauseNotDelivered:
		return reply == 0 || !b.endsVisibly(reply)
	case trace.CauseUnseen:
		return !b.any(0, func(s *trace.Span) bool { return s.Kind == trace.KindUnseen })
	}
	return false
}

// ping describes the ping as the viewer saw it first.
func (b *builder) ping() trace.Ping {
	p := trace.Ping{ID: b.from.Ping.ID, Seq: b.from.Ping.Seq, PayloadLen: b.from.Ping.PayloadLen}
	for i := range b.from.Spans {
		s := &b.from.Spans[i]
		src, dst := s.Packet.Addresses()
		if b.visible[i] && !s.Kind.Finer() && b.beginsAt(s) == own && src.IsValid() {
			p.Src, p.Dst = src, dst
			if s.Direction == trace.Reply {
				p.Src, p.Dst = p.Dst, p.Src
			}
			break
		}
		for _, e := range s.Events {
			if id, ok := rewritten(e); ok {
				p.ID = id
			}
		}
	}
	return p
}

// rewritten returns the identifier that NAT gave an echo, from the text of its event.
func rewritten(e trace.Event) (uint16, bool) {
	if e.Name != trace.EventNAT {
		return 0, false
	}
	_, id, ok := strings.Cut(text(e, trace.AttrNATAfter), " id ")
	n, err := strconv.ParseUint(id, 10, 16)
	return uint16(n), ok && err == nil
}
