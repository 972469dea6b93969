// SPDX-License-Identifier: Apache-2.0

// Package firewall keeps each tenant's rules: what was asked for, in files; what decides, in
// TC, FORWARD and iptables.
package firewall

import "time"

// Place says who decides about a rule's packets. Its values are part of the API.
type Place string

// The places.
const (
	// TC: programs in the kernel decide: at the TC ingress of the tenant's ports, and in
	// FORWARD for what TC leaves.
	TC Place = "tc"
	// IPTables: the rule is in iptables as it is.
	IPTables Place = "iptables"
	// Refused: the command would affect others, or is not valid; nothing was changed.
	Refused Place = "refused"
)

// Request is one command.
type Request struct {
	Tenant string `json:"tenant"`
	// Words are the command as typed, its first word iptables or ip6tables.
	Words []string `json:"words"`
	// DryRun: say what would be answered and change nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// AffectOthers: put a command that cannot be confined to the tenant into iptables as it
	// is. Only for the operator.
	AffectOthers bool `json:"affect_others,omitempty"`
	// Operator is set if it is the operator who asks. A tenant is not told whose others are.
	Operator bool `json:"-"`
}

// Answer is what became of a command, or of one rule of several.
type Answer struct {
	Place Place `json:"place"`
	// Reason is one sentence.
	Reason string `json:"reason"`
	// Witness is a packet of somebody else's that the command would affect, as `explain`
	// takes it, and Whose says whose it is. Only if Place is Refused for that reason.
	Witness string `json:"witness,omitempty"`
	Whose   string `json:"whose,omitempty"`
	// Command is the rule as iptables-save prints it, without IDs of dwell's.
	Command string `json:"command,omitempty"`
	// Output is what -L, -S and -C print.
	Output string `json:"output,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// Restore is a file of rules for one family, as iptables-save writes it.
type Restore struct {
	Tenant string `json:"tenant"`
	// Family is 4 or 6.
	Family int    `json:"family"`
	Text   string `json:"text"`
	DryRun bool   `json:"dry_run,omitempty"`
	// Operator is that of [Request].
	Operator bool `json:"-"`
}

// Restored is the answer to a [Restore]: all rules were taken, or none. In that to a dry run,
// Done says whether they would be.
type Restored struct {
	Done bool `json:"done"`
	// Answers are one for each rule, in order; if Done is false, those of the refused ones.
	Answers []Answer `json:"answers"`
	// CompileTime and SwapTime are how long it took to make the programs' tables and to put
	// all in force.
	CompileTime time.Duration `json:"compile_ns"`
	SwapTime    time.Duration `json:"swap_ns"`
}

// Listing is a tenant's rules and what they did.
type Listing struct {
	Tenant string `json:"tenant"`
	// Families are IPv4's and IPv6's rules.
	Families []FamilyListing `json:"families"`
	// Ports are where TC programs are attached.
	Ports []PortListing `json:"ports"`
	// Problems say, in sentences, what is not as it should be: rules not in force, a port
	// without program.
	Problems []string `json:"problems,omitempty"`
}

// FamilyListing is the rules of one family.
type FamilyListing struct {
	Family int            `json:"family"`
	Chains []ChainListing `json:"chains"`
	// Place is TC if programs decide, or IPTables; Reason says why.
	Place  Place  `json:"place"`
	Reason string `json:"reason"`
	// Nodes and Bytes are the size of the decision diagrams.
	Nodes int `json:"nodes"`
	Bytes int `json:"bytes"`
}

// ChainListing is one chain.
type ChainListing struct {
	Name string `json:"name"`
	// Policy is ACCEPT or DROP in the base chain, or "-".
	Policy string `json:"policy"`
	// Packets and Bytes are what reached the policy.
	Packets uint64        `json:"packets"`
	Bytes   uint64        `json:"bytes"`
	Rules   []RuleListing `json:"rules"`
}

// RuleListing is one rule.
type RuleListing struct {
	// Number is the rule's place in the chain, from 1.
	Number int `json:"number"`
	// ID is what traces know the rule by; UUID is derived from tenant, chain and text.
	ID   uint32 `json:"id"`
	UUID string `json:"uuid"`
	// Text is the rule as iptables-save prints it, without "-A CHAIN".
	Text    string `json:"text"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Place   Place  `json:"place"`
	Reason  string `json:"reason"`
}

// PortListing is one port's program.
type PortListing struct {
	Port string `json:"port"`
	// Attached is "tcx", "clsact" or "": not attached.
	Attached string `json:"attached"`
	Packets  uint64 `json:"packets"`
	Passed   uint64 `json:"passed"`
	Dropped  uint64 `json:"dropped"`
	// Deferred are packets left to FORWARD, by reason.
	Deferred map[string]uint64 `json:"deferred"`
	// Nanoseconds is the mean time of a run of the program, measured for one packet in many;
	// 0 if none was.
	Nanoseconds float64 `json:"ns_per_packet"`
}

// Explanation says what becomes of a packet.
type Explanation struct {
	// Packet is the packet in full, with what was assumed.
	Packet string `json:"packet"`
	// Verdict is pass, drop, or unknown if iptables alone can tell.
	Verdict string `json:"verdict"`
	// Place is who decides: "tc", "forward" (the same program in FORWARD) or "iptables".
	Place  string `json:"place"`
	Reason string `json:"reason"`
	// Decider is the rule that decides; nil for the policy.
	Decider *RuleListing `json:"decider,omitempty"`
	Chain   string       `json:"chain,omitempty"`
	// Path are the rules that match, in order: "FORWARD 3".
	Path []string `json:"path"`
}
