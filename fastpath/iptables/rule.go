// SPDX-License-Identifier: Apache-2.0

package iptables

import (
	"net/netip"

	"github.com/dwelltrace/dwell/fastpath/header"
)

// Rule is one rule. It is not modified once it is in a [Chains], except for its ID and counters.
type Rule struct {
	// ID is the number by which the owner of the chains knows the rule: see ruleset.Rule. It
	// is not part of the rule's text. 0 for a rule that does not have one yet.
	ID       uint32
	Family   header.Family
	Src, Dst Address
	In, Out  Interface
	Proto    Protocol
	Fragment Fragment
	// Matches are in the order in which they were given, which iptables keeps.
	Matches []Match
	Target  Target
	// Counters are those of -c, or those printed before the rule.
	Counters *Counters
	// Opaque is why one cannot rely on what the rule says: it has a match or target that iptables
	// does not come with, so where its options end is only a guess. "" for most rules.
	Opaque string
	// Verbatim are all words of a rule that could not even be cut into matches and target, which
	// are not set then. Only [ReadSave] makes such rules.
	Verbatim []string
	// Line is the number of the line of a file on which the rule stands, or 0.
	Line int
	// source is the text that the rule was read from.
	source string
}

// Counters are how many packets and bytes a rule matched.
type Counters struct{ Packets, Bytes uint64 }

// Address is what -s and -d say: the addresses that are equal to Addr in the bits of Mask.
// The zero value is all addresses.
type Address struct {
	Not        bool
	Addr, Mask netip.Addr
}

// Interface is what -i and -o say. A Name that ends in "+" is of all devices whose name begins with
// what is before it. The zero value is all devices.
type Interface struct {
	Not  bool
	Name string
}

// Protocol is what -p says. Number 0 is all protocols.
type Protocol struct {
	Not    bool
	Number uint8
}

// Fragment is what -f says.
type Fragment uint8

// Whether a rule asks for fragments that are not the first of a packet.
const (
	AnyFragment      Fragment = iota // no -f
	LaterFragment                    // -f
	NotLaterFragment                 // ! -f
)

// Match is a -m and its options.
type Match struct {
	// Name is as after -m.
	Name string
	// Options are in iptables' order and notation if the match is understood, and as given
	// otherwise.
	Options []Option
}

// Option is one option of a match or target.
type Option struct {
	Not bool
	// Name is the option's long name, such as "--dport".
	Name string
	Args []string
}

// TargetKind is what sort of target a rule has.
type TargetKind uint8

// The kinds of target.
const (
	NoTarget  TargetKind = iota // only counts
	Verdict                     // ACCEPT, DROP or RETURN
	ToChain                     // a chain: -j, or -g if Goto
	Extension                   // such as LOG, REJECT, QUEUE
)

// Target is what a rule does.
type Target struct {
	Kind TargetKind
	// Name is as after -j or -g.
	Name string
	Goto bool
	// Options are those of an Extension.
	Options []Option
}
