// SPDX-License-Identifier: Apache-2.0

package trace

// Meaning says in words, for summaries and titles, what the outcome means. It is "" for
// an unknown outcome.
func (o Outcome) Meaning() string {
	switch o {
	case Complete:
		return "the reply came back"
	case Dropped:
		return "the kernel dropped the request or the reply on this host"
	case Incomplete:
		return "something is missing from the trace"
	case Expired:
		return "the time to live ran out on the way, and a host said so"
	case Unreachable:
		return "a host on the way answered with an ICMP error"
	case Partial:
		return "seen as far as the traced interfaces go"
	}
	return ""
}

// ErrorType returns the value of error.type for the root of a ping with this outcome, apart from
// [Dropped], whose error is the kernel's reason; "" if the outcome is not an error. That a
// time to live runs out is not one, because traceroute asks for it.
func (o Outcome) ErrorType() string {
	if o == Unreachable {
		return "icmp_unreachable"
	}
	return ""
}

// Causes returns all causes, in the order of their constants.
func Causes() []Cause {
	return []Cause{
		CauseEventsLost, CauseEvicted, CauseAgentStarted, CauseAgentStopped,
		CauseNoRequest, CauseNoReply, CauseNotDelivered, CauseUnseen,
	}
}
