// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// Options say how a [Manager] works, and on what.
type Options struct {
	// Pin is the directory of a BPF file system for programs and maps, which is mounted if
	// there is none.
	Pin string
	// NetNS is the hypervisor's network namespace; nil is the process's.
	NetNS *netns.NS
	// NICs are names of the devices that lead out of the host; none: they are found.
	NICs []string
	// Lease is for how long at most it is believed what was learnt; 0 is [DefaultLease].
	Lease time.Duration
	// Capacity bounds a tenant's entries, of which a flow has two; 0 is [DefaultCapacity].
	Capacity int
	// Firewall has the tenants' rules, or is nil.
	Firewall *firewall.Manager
	// Log takes what is not as it should be.
	Log *slog.Logger
}

// Values of options that are not said.
const (
	DefaultLease    = 10 * time.Second
	DefaultCapacity = 16384
)

// Manager runs the fast path of a host. Its methods may be called by several goroutines.
type Manager struct {
	options Options
}

// New makes a manager, which knows no tenants yet and has changed nothing. A kernel that cannot
// have a fast path is no error: [Manager.Status] says so.
func New(o Options) (*Manager, error) { return &Manager{options: o}, nil }

// SetTenants says who the tenants are and which of them have a fast path. Those without a mode
// have none.
func (m *Manager) SetTenants(_ *tenant.Set, _ map[string]flow.Mode) {}

// SetTracing gives the programs the tracer's maps, nil to take them away.
func (m *Manager) SetTracing(_ map[string]*ebpf.Map) error { return nil }

// Run keeps the fast path in force until ctx is done; then it returns nil, and everything takes
// the kernel's path.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close forgets the programs, which stay where they are for whoever comes next. They send nothing
// fast while nobody is there.
func (m *Manager) Close() error { return nil }

// Down takes everything out of the kernel. There is no fast path any more until another manager is
// run.
func (m *Manager) Down() error { return nil }

// Remove does what [Manager.Down] does if no manager runs.
func Remove(_ string, _ *netns.NS) error { return errors.New("not yet") }

// Status says how the fast path is, for all tenants or for one.
func (m *Manager) Status(_ context.Context, _ Query) (*Status, error) { return &Status{}, nil }

// Flows lists flows of all tenants or of one, those with the most packets first, at most as many as said
// (0: all).
func (m *Manager) Flows(_ context.Context, _ Query, _ int) (*FlowList, error) {
	return &FlowList{}, nil
}

// Flush forgets the flows of all tenants or of one, and returns how many entries there were. They
// are learnt anew.
func (m *Manager) Flush(_ context.Context, _ Query) (int, error) { return 0, nil }

// Why says why packets of a flow are slow. Errors in its text are *[PacketError].
func (m *Manager) Why(_ context.Context, _ WhyQuery) (*Why, error) { return &Why{}, nil }

// Stats returns counts for metrics.
func (m *Manager) Stats() Stats { return Stats{} }

// Summary returns what there is to say in a line.
func (m *Manager) Summary() Summary { return Summary{} }
