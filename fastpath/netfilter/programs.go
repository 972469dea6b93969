// SPDX-License-Identifier: Apache-2.0

package netfilter

import (
	"context"
	"errors"
	"time"

	"github.com/dwelltrace/dwell/fastpath/header"
	"github.com/dwelltrace/dwell/internal/netns"
)

// Kind is one of the two implementations of iptables, which do not see each other's rules.
type Kind string

// The kinds.
const (
	Legacy Kind = "legacy"
	NFT    Kind = "nft"
)

// Options say where and how iptables is run.
type Options struct {
	// NetNS is the network namespace; nil is the process's.
	NetNS *netns.NS
	// Kind is which iptables to use. "" is the one that has rules, and if neither or both
	// have, the one that the host calls iptables.
	Kind Kind
	// LockWait is how long to wait for another iptables to finish, in whole seconds; 0 is
	// [DefaultLockWait].
	LockWait time.Duration
	// Timeout is how long one run may take, beside waiting; 0 is [DefaultTimeout].
	Timeout time.Duration
}

// Defaults of [Options].
const (
	DefaultLockWait = 5 * time.Second
	DefaultTimeout  = time.Minute
)

// Tables is the host's iptables and ip6tables in one namespace. Its methods may be called by
// several goroutines; those for one family and tenant must not overlap.
type Tables struct {
	options Options
	version string
}

// Find finds the programs. The error says what to install.
func Find(_ context.Context, _ Options) (*Tables, error) {
	return nil, errors.ErrUnsupported
}

// Kind returns which iptables it is.
func (t *Tables) Kind() Kind { return t.options.Kind }

// Version returns "1.8.9".
func (t *Tables) Version() string { return t.version }

// Has reports whether there are programs for the family. Where it does not, as on a host
// without ip6tables, the family cannot have rules.
func (t *Tables) Has(header.Family) bool {
	return false
}

// LockedError says that another program has held the lock of iptables for too long. Nothing
// was changed.
type LockedError struct {
	// Holder is the program, such as "iptables-restore (process 4711)", or "" if it is not known.
	Holder string
	Waited time.Duration
}

func (e *LockedError) Error() string { return "locked" }

// RuleError says that iptables or the kernel does not accept a rule.
type RuleError struct {
	// ID is the rule's, or 0 if it is not known which one it is.
	ID    uint32
	Chain string
	// Text is what iptables said.
	Text string
}

func (e *RuleError) Error() string { return e.Text }

// Apply puts the rules in force in one transaction, in place of those of the tenant that are
// there, and makes the jump from FORWARD if it is missing or not the first rule. Counters of
// rules with the same ID are kept, except for what is counted between reading and writing
// them, a few milliseconds.
//
// Errors are [*LockedError], [*RuleError], [*BitError], and others; nothing was changed then.
func (t *Tables) Apply(_ context.Context, _ *Layout) error {
	return errors.ErrUnsupported
}

// Raise makes the jump from FORWARD the first rule again.
func (t *Tables) Raise(_ context.Context, _ header.Family) error {
	return errors.ErrUnsupported
}

// Remove takes out all chains of the tenant and all jumps to them, also those that a crash
// left half done, and with the last tenant the chain dwell and the jump from FORWARD. It is
// not an error if there is nothing.
func (t *Tables) Remove(_ context.Context, _ header.Family, _ string, _ uint32) error {
	return errors.ErrUnsupported
}

// Installed reads what is there.
func (t *Tables) Installed(_ context.Context, _ header.Family) (*Installed, error) {
	return nil, errors.ErrUnsupported
}

// Expect returns what [Tables.Installed] would be after [Tables.Apply], for
// [Installed.Drift]. It finds out in a namespace of its own.
func (t *Tables) Expect(_ context.Context, _ *Layout) (*Installed, error) {
	return nil, errors.ErrUnsupported
}

// Test puts the rules in force in a namespace of its own, to see whether iptables and kernel
// accept them. Errors are [*RuleError], [*BitError] and others. Rules that refer to what only
// the host's namespace has, such as an IP set, are left out.
func (t *Tables) Test(_ context.Context, _ *Layout) error {
	return errors.ErrUnsupported
}

// Installed is what stands in table filter of dwell's.
type Installed struct {
	Family header.Family
	// Jump is the place of the jump to dwell among FORWARD's rules, from 1; 0 if there is none.
	Jump int
	// Before are FORWARD's rules that stand before it, as iptables-save prints them.
	Before []string
	// Chains are the rules of dwell's chains, without counters, by the chain's name.
	Chains map[string][]string
}

// Tenant returns what the rules of a tenant have counted, by ID; nil if it has none. The count of
// [PolicyID] is what reached the policy.
func (i *Installed) Tenant(_ string, _ uint32) map[uint32]Count {
	return nil
}

// Drift says in sentences what differs from what should be there for the tenant: somebody
// flushed, moved or edited. nil if nothing does.
func (i *Installed) Drift(_ *Installed, _ string, _ uint32) []string {
	return nil
}
