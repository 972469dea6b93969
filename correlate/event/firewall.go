// SPDX-License-Identifier: Apache-2.0

package event

// What Action.Verdict means if the deed is [Firewall]. The numbers are those of
// fastpath/ruleset.Verdict.
const (
	VerdictPass uint16 = iota
	VerdictDrop
	VerdictDefer
)

// UnknownReason is an Action.Reason at [AtIPTables] with [VerdictDefer]: why it cannot be known
// which rule of iptables dropped a packet. The other reasons of a firewall are those of
// fastpath/datapath.Reason, which are smaller.
type UnknownReason uint16

// The reasons.
const (
	// UnknownMatch: a rule looks at what a trace does not tell, or does more than judge.
	UnknownMatch UnknownReason = 0x8000 + iota
	// UnknownState: the verdict depends on what connection tracking said of the packet.
	UnknownState
	// UnknownHook: netfilter's hooks are not timed in the namespace, so the packet may have
	// died before its tenant's rules were asked, or after.
	UnknownHook
	// RulesChanged: the rules were changed at about the time.
	RulesChanged
	// NotAsked: too many packets died to ask for each.
	NotAsked

	unknownReasonEnd // one more than the last
)

// String returns the word for it, or "" if r is not one of the constants.
func (r UnknownReason) String() string {
	if r < UnknownMatch || r >= unknownReasonEnd {
		return ""
	}
	return unknownReasonNames[r-UnknownMatch]
}

var unknownReasonNames = [unknownReasonEnd - UnknownMatch]string{
	"match", "state", "hook", "changed", "busy",
}
