// SPDX-License-Identifier: Apache-2.0

package api

import "strconv"

// FirewallPath returns the path of a tenant's firewall: rules with their counters, by GET;
// one command, by POST; all rules away, by DELETE. The ID must be a valid one.
//
// What is answered are the types of package fastpath/firewall.
func FirewallPath(id string) string { return TenantPath(id) + "/firewall" }

// RulesPath returns the path of a tenant's rules of a family, 4 or 6, as iptables-save writes
// them: by GET, and to replace them all by PUT.
func RulesPath(id string, family int) string {
	return FirewallPath(id) + "/rules/" + strconv.Itoa(family)
}

// The paths below FirewallPath to which something is posted that changes nothing.
const (
	FirewallCheckPath   = "/check"
	FirewallExplainPath = "/explain"
)

// The greatest bodies of requests, in bytes. A request with a larger one is refused.
const (
	// MaxCommand is for a command or a packet.
	MaxCommand = 64 << 10
	// MaxRules is for the text of all rules of one family, which a hundred thousand rules or so
	// do not exceed.
	MaxRules = 8 << 20
)

// FirewallCommand is one command of iptables or ip6tables.
type FirewallCommand struct {
	// Words are the command as typed, the first iptables or ip6tables.
	Words []string `json:"words"`
	// DryRun asks what would be answered, and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// AffectOthers puts a command that cannot be confined to the tenant into iptables as it is.
	// Only operators may.
	AffectOthers bool `json:"affect_others,omitempty"`
}

// FirewallCheck asks what would become of one command, or of a file of rules: it has either
// Words, or Family and Text.
type FirewallCheck struct {
	Words []string `json:"words,omitempty"`
	// AffectOthers is for Words: see [FirewallCommand].
	AffectOthers bool `json:"affect_others,omitempty"`
	// Family is 4 or 6, and Text what iptables-save writes.
	Family int    `json:"family,omitempty"`
	Text   string `json:"text,omitempty"`
}

// FirewallPacket is a packet of which it is asked what becomes of it.
type FirewallPacket struct {
	// Packet is text like "icmp 192.168.0.10 > 203.0.113.8".
	Packet string `json:"packet"`
}

// FirewallFlushed says what was removed.
type FirewallFlushed struct {
	// Rules is how many there were, of both families.
	Rules int `json:"rules"`
	// DryRun is set if they are still there.
	DryRun bool `json:"dry_run,omitempty"`
}

// Position is the place of a word that is not understood.
type Position struct {
	// Line is that of a file, from 1; 0 in a command.
	Line int `json:"line,omitempty"`
	// Text is the line or the command, and Column where in it the word begins, in bytes from
	// 0; Length is the word's.
	Text   string `json:"text"`
	Column int    `json:"column"`
	Length int    `json:"length"`
}
