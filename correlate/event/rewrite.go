// SPDX-License-Identifier: Apache-2.0

package event

// Learnt is what an Action.Reason says if the deed is [Learn] and the verdict is [LearnDone].
type Learnt uint16

// What was learnt.
const (
	// LearntMade: how the kernel treats packets of a flow that was not known.
	LearntMade Learnt = iota
	// LearntRenewed: that it still does as was foretold, so that it is believed for another
	// while.
	LearntRenewed
	// LearntAgreed: that it did as was foretold.
	LearntAgreed

	learntEnd // one more than the last
)

var learntNames = [learntEnd]string{"made", "renewed", "agreed"}

// String returns the word that listings and traces have for it.
func (l Learnt) String() string {
	if l < learntEnd {
		return learntNames[l]
	}
	return unknown
}

// What Action.Verdict means if the deed is [Learn].
const (
	// LearnDone: Action.Reason is a [Learnt].
	LearnDone uint16 = iota
	// LearnNothing: nothing could be learnt; Action.Reason says why, as that of a [Fallback].
	LearnNothing
)

// RewriteFlags say what else was done to a packet.
type RewriteFlags uint8

const (
	// RewriteNextHop is set if the kernel's table of neighbours gave the Ethernet addresses,
	// which are not known.
	RewriteNextHop RewriteFlags = 1 << iota
	// RewriteEncapsulated is set if the headers of a tunnel were put before the packet.
	RewriteEncapsulated
	// RewriteDecapsulated is set if the headers of a tunnel were taken from it.
	RewriteDecapsulated
)

// Has reports whether all of the given flags are set.
func (f RewriteFlags) Has(g RewriteFlags) bool { return f&g == g }

// Rewrite is a packet as the fast path sent it on. The zero value means that this is not known.
type Rewrite struct {
	// Src and Dst are the echo's own addresses.
	Src, Dst Address
	// To and From are the frame's Ethernet addresses.
	To, From [6]byte
	// TTL is the echo's time to live or hop limit.
	TTL   uint8
	Flags RewriteFlags
	// ID is the echo's identifier.
	ID uint16
	// LeaseMilliseconds is how long what is known of the flow was still to be believed.
	LeaseMilliseconds uint32
	// Peer is where the packet arrives at once, if it was given to the other end of a pair
	// and not to the device that it was sent to: that end.
	Peer Place
}
