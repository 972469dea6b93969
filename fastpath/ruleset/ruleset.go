// SPDX-License-Identifier: Apache-2.0

// Package ruleset is a tenant's chains of rules, as sets of packets and what to do with them, and
// an interpreter that judges a packet by them, rule after rule.
//
// It does not know how rules are written: package iptables translates. The interpreter is
// naive on purpose: everything that is fast is compared with it.
package ruleset

import "github.com/dwelltrace/dwell/fastpath/header"

// Verdict is what rules say of a packet.
type Verdict uint8

// The verdicts. The numbers are those of enum verdict in fastpath/datapath/c/words.h.
const (
	// Pass: the tenant has no objection. The operator's rules are still to be asked.
	Pass Verdict = iota
	// Drop is final.
	Drop
	// Defer: iptables must decide, because a rule looks at what cannot be known here, keeps
	// a count, or does something else than to judge.
	Defer
)

// Action is what a rule does with a packet that it matches.
type Action uint8

// The actions.
const (
	// Continue: the rule only counts, and the next is asked.
	Continue Action = iota
	// Accept ends the judging, wherever it is, with [Pass].
	Accept
	// Deny ends it with [Drop].
	Deny
	// Return goes back to the rule after the last jump; in the first chain, to its policy.
	Return
	// Jump goes to the first rule of another chain, and comes back at its end.
	Jump
	// Goto goes there, and at its end returns to where the present chain would.
	Goto
	// Foreign is what only iptables can do, such as LOG and REJECT: it defers.
	Foreign
)

// Rule is one rule.
type Rule struct {
	// ID is the number by which counters, traces and listings know the rule. It is not used
	// again for another rule of the tenant while a trace may still name it. 0 is not an ID.
	ID uint32
	// Boxes are the packets that the rule matches: those in any of them.
	Boxes []header.Box
	// Unknown: there is more that the rule looks at, so it may match those packets, and no
	// others. Such a packet is deferred.
	Unknown bool
	// Fixed: what is Unknown is the same for all packets of a connection in one direction, as its mark is. It
	// only matters to [Set.JudgeMany].
	Fixed  bool
	Action Action
	// Marks: Continue changes something that is not in the words, such as the packet's mark. It only
	// matters to [Set.JudgeMany].
	Marks bool
	// Target is the chain of Jump and Goto.
	Target string
}

// Chain is rules in order.
type Chain struct {
	Name  string
	Rules []Rule
}

// Set is all chains of a tenant for one family. It is not modified once it is made.
type Set struct {
	Family header.Family
	// Base is the chain in which judging begins.
	Base string
	// Policy is the verdict at the end of the base chain: Pass or Drop.
	Policy Verdict
	Chains map[string]*Chain
}

// Outcome is what became of a packet.
type Outcome struct {
	Verdict Verdict
	// Rules are the IDs of all rules that matched, in order, jumps included: those that iptables
	// would have counted. For Defer they are nil, because iptables counts them itself.
	Rules []uint32
	// Decider is the ID of the rule that decided, or 0 for the policy. For Defer it is the rule
	// that could not be judged.
	Decider uint32
}
