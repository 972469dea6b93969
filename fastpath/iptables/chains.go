// SPDX-License-Identifier: Apache-2.0

package iptables

import "github.com/dwelltrace/dwell/fastpath/header"

// Chain is a chain of rules.
type Chain struct {
	Name string
	// Policy is ACCEPT or DROP for a built-in chain, and "" for others.
	Policy string
	// Counters are those of the policy.
	Counters Counters
	Rules    []*Rule
}

// Chains are the chains of a tenant's table filter for one family: FORWARD, and the tenant's
// own.
type Chains struct {
	Family header.Family
	// List has FORWARD first, then the others by name.
	List []*Chain
}

// Base is the built-in chain that a tenant has.
const Base = "FORWARD"

// NewChains returns an empty FORWARD with policy ACCEPT.
func NewChains(family header.Family) *Chains {
	return &Chains{Family: family, List: []*Chain{{Name: Base, Policy: "ACCEPT"}}}
}

// Get returns the chain with the name, or nil.
func (c *Chains) Get(_ string) *Chain { return nil }

// Clone returns a copy that shares nothing that [Chains.Apply] modifies.
func (c *Chains) Clone() *Chains { return nil }

// Apply does what an editing command says, or returns a *EditError and changes nothing. A
// Check is an error if there is no such rule. List and ListRules do nothing. The rules that it adds are
// those of the command, with ID 0; a rule that replaces an equal one gets ID 0, too. The command must be of the family and of table filter.
func (c *Chains) Apply(_ *Command) error { return errTodo(nil) }

// Restore replaces all chains by those of a file, as iptables-restore does, or returns an
// error and changes nothing. A rule equal to one that is there, in the same chain, keeps its ID. The file may only
// have the table filter, and no built-in chain but FORWARD; INPUT and OUTPUT are allowed if they are
// empty and have policy ACCEPT.
func (c *Chains) Restore(_ *Save) error { return errTodo(nil) }

// Save returns the text that iptables-save prints for the table, without comments. If ids is
// set, rules have counters from it.
func (c *Chains) Save(_ func(id uint32) Counters) string { return "" }

// Print returns what iptables prints for List and ListRules. counters says what a rule, or for
// the ID 0 the policy of a chain, has counted.
func (c *Chains) Print(_ *Command, _ func(chain string, id uint32) Counters) (string, error) {
	return "", errTodo(nil)
}

// EditError is a command that is valid but cannot be done.
type EditError struct {
	// Reason is what iptables says, such as "No chain/target/match by that name."
	Reason string
	// Hint says what to do.
	Hint string
}

// Error returns reason and hint.
func (e *EditError) Error() string { return e.Reason + " " + e.Hint }
