// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"log/slog"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Options say where a [Manager] keeps its state and what it works on.
type Options struct {
	// StateDir is where rules are kept: see the package's documentation.
	StateDir string
	// Pin is the directory of a BPF file system for programs and maps, which is mounted if
	// there is none.
	Pin string
	// IPTables is "auto", "legacy" or "nft". "" is "auto".
	IPTables string
	// MaxRules bounds a tenant's rules for one family; 0 is [DefaultMaxRules].
	MaxRules int
	// NetNS is the hypervisor's network namespace; nil is the process's.
	NetNS *netns.NS
	// Log takes what is repaired and what cannot be.
	Log *slog.Logger
}

// DefaultMaxRules bounds a tenant's rules for one family unless the options say otherwise.
const DefaultMaxRules = 20000

// Errors that callers tell apart, beside [*CommandError].
var (
	// ErrNoTenant: there is no tenant with the ID.
	ErrNoTenant = errors.New("there is no such tenant")
	// ErrNoFirewall: the tenant cannot have a firewall now; the error says why.
	ErrNoFirewall = errors.New("the tenant cannot have a firewall now")
)

// CommandError is something wrong with a command, a file of rules, or the text of a packet: it
// is the caller's to mend. Its text points at the word.
type CommandError struct{ Err error }

// Error returns what is wrong.
func (e *CommandError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the parser.
func (e *CommandError) Unwrap() error { return e.Err }

// Manager keeps the rules of all tenants of a host. Its methods may be called by several
// goroutines.
type Manager struct{}

// New makes a manager, which knows no tenants yet and has changed nothing.
func New(Options) (*Manager, error) { return nil, errors.ErrUnsupported }

// SetTenants says who the tenants are. Rules of a tenant that is no longer there are taken out
// of force by [Manager.Run], and their files removed.
func (m *Manager) SetTenants(*tenant.Set) {}

// SetTracing gives the programs the tracer's maps, nil to take them away: see
// datapath.Options.Shared.
func (m *Manager) SetTracing(map[string]*ebpf.Map) error { return errors.ErrUnsupported }

// Do carries out one command, or says what would be done.
func (m *Manager) Do(context.Context, Request) (*Answer, error) {
	return nil, errors.ErrUnsupported
}

// Restore replaces all rules of one family, or none if one is refused.
func (m *Manager) Restore(context.Context, Restore) (*Restored, error) {
	return nil, errors.ErrUnsupported
}

// List returns the tenant's rules and counters.
func (m *Manager) List(context.Context, string) (*Listing, error) {
	return nil, errors.ErrUnsupported
}

// Save returns the tenant's rules of one family as [Manager.Restore] takes them.
func (m *Manager) Save(context.Context, string, int) (string, error) {
	return "", errors.ErrUnsupported
}

// Explain says what becomes of a packet, written as `dwell firewall explain` takes it.
func (m *Manager) Explain(context.Context, string, string) (*Explanation, error) {
	return nil, errors.ErrUnsupported
}

// Flush removes the tenant's rules, counters and files.
func (m *Manager) Flush(context.Context, string) error { return errors.ErrUnsupported }

// Adopt compares what the files say with what is in force, and repairs it. It is called once,
// after the first [Manager.SetTenants]. What is wrong with one tenant is a problem in its
// listing and does not keep the others from being adopted; the error joins all of these.
func (m *Manager) Adopt(context.Context) error { return errors.ErrUnsupported }

// Run keeps the rules in force while devices, tenants and others' rules change, until ctx is
// done.
func (m *Manager) Run(context.Context) error { return errors.ErrUnsupported }

// Close leaves everything in force.
func (m *Manager) Close() error { return nil }

// Rule returns the rule by the numbers that stand in traces: [tenant.Set.Number] and
// [RuleListing.ID]. Rules that are no longer in force are known for a while.
func (m *Manager) Rule(uint32, uint32) (Rule, bool) { return Rule{}, false }

// Stats returns counts for metrics, in order of tenants.
func (m *Manager) Stats(context.Context) []TenantStats { return nil }
