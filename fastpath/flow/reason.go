// SPDX-License-Identifier: Apache-2.0

package flow

// Reason says why a packet was not sent by the fast path, or why nothing was learnt from it. The
// numbers are those of enum reason in fastpath/bypass/c/maps.h, and are in traces.
type Reason uint32

// The reasons.
const (
	// Fast: it was sent.
	Fast Reason = iota
	// ModeOff: the tenant has no fast path.
	ModeOff
	// ModeShadow: the tenant's is only compared with the kernel.
	ModeShadow
	// Unattended: no agent is there to notice changes.
	Unattended
	// Held: something changed, and the agent has not yet found out what it means.
	Held
	// Device: programs, filters or queues of others at a device would be passed over.
	Device
	Protocol
	VLAN
	Header
	Options
	Fragment
	TTL
	Truncated
	Transport
	ICMPType
	TCPFlags
	Checksum
	Offload
	Tunnel
	// Unknown: nothing is known of the flow.
	Unknown
	// Unconfirmed: not enough of its packets have been seen, in both directions.
	Unconfirmed
	// Unapproved: the agent has not yet approved it.
	Unapproved
	// Forbidden: the agent has refused it; [Flow.Detail] says why.
	Forbidden
	// Ended: the connection ends, or the kernel treats the flow in another way.
	Ended
	// Lease: it is time that the kernel sees a packet of it again.
	Lease
	// Changed: something that may concern it has changed.
	Changed
	// Route: the kernel's routes have changed.
	Route
	// Connection: the kernel's connection is gone, or is another.
	Connection
	// Length: it is longer than those that the kernel has let pass.
	Length
	// Frame: the Ethernet addresses are others.
	Frame
	// Class: the DSCP is another.
	Class
	// Mark: the packet's mark is another.
	Mark
	// Full: the tenant has as many flows as it may have.
	Full
	// Failed: the kernel refused to change or to send the packet.
	Failed
	// Differs: the kernel changes more in the packet than is understood.
	Differs
	// Moved: it left by another device than the flow's.
	Moved
	// State: its connection is not one that can be relied on.
	State
	// Unreplied: its connection has seen no reply yet.
	Unreplied
	// Helper: a helper follows its connection, or its sequence numbers are changed.
	Helper
	// NextHop: it is not known where the kernel sent it.
	NextHop
	// Mismatch: the kernel did something else than was foretold, although nothing had changed.
	Mismatch

	reasons // how many
)

// Reasons returns all.
func Reasons() []Reason {
	all := make([]Reason, reasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// ReasonOf returns the reason with a word.
func ReasonOf(word string) (r Reason, ok bool) {
	for r := range reasons {
		if texts[r].word == word {
			return r, true
		}
	}
	return 0, false
}

// String returns the word for it that traces, metrics and listings have.
func (r Reason) String() string {
	if r < reasons {
		return texts[r].word
	}
	return "unknown-reason"
}

// Text returns a sentence for people, without a full stop.
func (r Reason) Text() string {
	if r < reasons {
		return texts[r].sentence
	}
	return "a reason that this version of dwell does not know"
}

var texts = [reasons]struct{ word, sentence string }{
	Fast:        {"fast", "it takes the fast path"},
	ModeOff:     {"off", "the tenant's fast path is off"},
	ModeShadow:  {"shadow", "the tenant's fast path is only compared with the kernel's"},
	Unattended:  {"unattended", "no agent has been there for 3 seconds to notice changes"},
	Held:        {"held", "rules or devices have just changed, and the agent is finding out what that means"},
	Device:      {"device", "programs, filters or queues of others at a device would be passed over"},
	Protocol:    {"protocol", "it is neither TCP nor UDP nor an echo of ICMP"},
	VLAN:        {"vlan", "the frame has a VLAN tag"},
	Header:      {"header", "the IP header is not valid"},
	Options:     {"options", "it has IP options or extension headers"},
	Fragment:    {"fragment", "it is a fragment"},
	TTL:         {"ttl", "its TTL or hop limit ends here"},
	Truncated:   {"truncated", "it is shorter than its IP header says"},
	Transport:   {"transport", "the TCP, UDP or ICMP header is not valid"},
	ICMPType:    {"icmp-type", "it is ICMP but not an echo"},
	TCPFlags:    {"tcp-flags", "it opens or closes its connection, or has unusual TCP flags"},
	Checksum:    {"checksum", "nobody has verified its checksum yet"},
	Offload:     {"offload", "it is segmented in a way that the fast path does not know"},
	Tunnel:      {"tunnel", "its tunnel header is not as it was learnt"},
	Unknown:     {"unknown", "nothing has been learnt of the flow"},
	Unconfirmed: {"unconfirmed", "the kernel has not yet shown twice, in both directions, what it does to the flow"},
	Unapproved:  {"unapproved", "the agent has not yet approved the flow"},
	Forbidden:   {"forbidden", "the agent has refused the flow"},
	Ended:       {"ended", "the connection is ending, or the kernel now treats the flow in another way"},
	Lease:       {"lease", "the lease is over: the kernel has to see a packet of the flow again"},
	Changed:     {"changed", "something on the host changed that may concern the flow"},
	Route:       {"route", "the kernel's routes changed"},
	Connection:  {"connection", "the kernel's connection is gone, or is another"},
	Length:      {"length", "it is longer than those that the kernel let pass in this lease"},
	Frame:       {"frame", "its Ethernet addresses are not those of the flow"},
	Class:       {"class", "its DSCP is not that of the flow"},
	Mark:        {"mark", "its mark is not that of the flow"},
	Full:        {"full", "the tenant has as many flows as it may have"},
	Failed:      {"failed", "the kernel refused to change or to send the packet"},
	Differs:     {"differs", "the kernel changes more in the packet than the fast path understands"},
	Moved:       {"moved", "it left by another device than the flow's"},
	State:       {"state", "connection tracking does not vouch for it"},
	Unreplied:   {"unreplied", "its connection has not seen a reply yet"},
	Helper:      {"helper", "a helper follows its connection, or its sequence numbers are changed"},
	NextHop:     {"next-hop", "it is not known where the kernel sends it"},
	Mismatch:    {"mismatch", "the kernel did something else than was foretold, although nothing had changed"},
}
