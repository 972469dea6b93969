// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/trace"
)

// judge says how the ping ended.
func (b *builder) judge() {
	switch cause := b.cause(); {
	case cause != "":
		b.trace.Outcome, b.trace.Cause = trace.Incomplete, cause
	case b.trace.DropReason != "":
		b.trace.Outcome = trace.Dropped
	default:
		b.trace.Outcome = trace.Complete
	}
}

// cause returns why the trace is incomplete, or "" if it is not. What is known for
// certain to have gone wrong in tracing comes before what seems to be missing.
func (b *builder) cause() trace.Cause {
	if b.ping.cause == trace.CauseEventsLost {
		return b.ping.cause
	}
	missing := b.missing()
	if missing == "" {
		return ""
	}
	if b.ping.first < b.opts.Start+uint64(b.opts.Timeout) && missing != trace.CauseNoReply && missing != trace.CauseNotDelivered {
		return trace.CauseAgentStarted
	}
	if b.ping.cause != "" && b.ping.done == 0 {
		return b.ping.cause
	}
	return missing
}

// missing returns what was not seen of the ping, or "".
func (b *builder) missing() trace.Cause {
	switch {
	case b.request == nil:
		return trace.CauseNoRequest
	case !begins(b.request.start()) || b.unseen():
		return trace.CauseUnseen
	case b.trace.DropReason != "":
		return ""
	case b.reply == nil:
		return trace.CauseNoReply
	case !b.reply.delivered() && !b.replyLeft():
		return trace.CauseNotDelivered
	}
	return ""
}

// unseen reports whether the packet was somewhere, between two events, where no hook
// saw it.
func (b *builder) unseen() bool {
	for i := range b.trace.Spans {
		if b.trace.Spans[i].Kind == trace.KindUnseen {
			return true
		}
	}
	return false
}

// replyLeft reports whether the reply left this host where the request came in.
func (b *builder) replyLeft() bool {
	in, out := b.request.start(), b.reply.end()
	return in.Hook.Arrival() && out.Hook == event.NetDevXmit && sameDevice(in, out)
}
