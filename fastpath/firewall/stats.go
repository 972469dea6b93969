// SPDX-License-Identifier: Apache-2.0

package firewall

import "strconv"

// Rule is a rule as traces name it.
type Rule struct {
	// Tenant is the tenant's ID.
	Tenant string
	// ID is the number in the record. UUID and Text are those of [RuleListing].
	ID   uint32
	UUID string
	Text string
	// Family is 4 or 6.
	Family int
	Chain  string
	// Number is the rule's place in the chain, from 1, when it was last in force.
	Number int
	// Gone is set if it is no longer in force.
	Gone bool
}

// Name returns "FORWARD 3".
func (r Rule) Name() string { return r.Chain + " " + strconv.Itoa(r.Number) }

// TenantStats are counts of one tenant.
type TenantStats struct {
	Tenant string
	// Problems is the number of [Listing.Problems].
	Problems int
	// Repairs is how often what had been changed by others was put back.
	Repairs uint64
	// Transactions and Failures are how many changes were put in force since the manager
	// began, and how many could not be.
	Transactions, Failures uint64
	// Unattached is the number of ports without program, though programs decide.
	Unattached int
	// Rules are counts by rule and verdict. They never decrease while the manager lives.
	Rules []RuleStats
	// Ports are counts by port.
	Ports []PortListing
}

// RuleStats are counts of one rule, or of a policy.
type RuleStats struct {
	Family int
	Chain  string
	// ID and UUID are the rule's; 0 and "" for the chain's policy.
	ID   uint32
	UUID string
	// Verdict is "pass" or "drop", or "none" for a rule that only counts or jumps.
	Verdict string
	// Place is who decides.
	Place          Place
	Packets, Bytes uint64
}
