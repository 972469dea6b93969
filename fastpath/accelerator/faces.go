// SPDX-License-Identifier: Apache-2.0

package accelerator

import (
	"context"
	"time"

	"github.com/cilium/ebpf"

	"github.com/dwelltrace/dwell/fastpath/approval"
	"github.com/dwelltrace/dwell/fastpath/bypass"
	"github.com/dwelltrace/dwell/fastpath/bystanders"
	"github.com/dwelltrace/dwell/fastpath/changes"
	"github.com/dwelltrace/dwell/fastpath/flow"
	"github.com/dwelltrace/dwell/fastpath/host"
	"github.com/dwelltrace/dwell/fastpath/liberal"
	"github.com/dwelltrace/dwell/fastpath/premises"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// programs is what is needed of [bypass.Bypass].
type programs interface {
	stopper
	SetTenants(tenants []bypass.Tenant) error
	SetDevices(devices []bypass.Device) error
	SetTunnels(port uint16) error
	Attached() ([]bypass.AttachedDevice, error)
	Repin() (repaired bool, err error)
	Beat() error
	Rest() error
	SetLease(lease time.Duration) error
	SetAgreed(packets int) error
	NewApproval() uint32
	Approval() uint32
	Candidates(ctx context.Context, ask func(bypass.Candidate)) error
	Unasked() (uint64, error)
	Doubts(ctx context.Context, report func(bypass.Doubt)) error
	Epoch(slot, other uint16) uint64
	Look(c bypass.Candidate) (forth, back *flow.Flow, err error)
	Approve(forth, back *flow.Flow, approval uint32) error
	Refuse(forth, back *flow.Flow, approval uint32, r flow.Reason, detail uint32) error
	Flows(each func(*flow.Flow) bool) error
	Sweep(ctx context.Context, idle time.Duration) (int, error)
	Flush(slot uint16) (int, error)
	Counts() ([]bypass.Counts, error)
	Usage() (map[uint16]int, error)
	Room() (int, error)
	SetTracing(shared map[string]*ebpf.Map) error
	Close() error
}

// watch is [bypass.Watch].
type watch interface {
	Read() (map[flow.Key]bypass.WatchCounts, error)
	Close() error
}

// policy is [approval.Policy].
type policy interface {
	Judge(forth, back *flow.Flow) approval.Decision
}

// liberator is [liberal.Conn].
type liberator interface {
	Set(original flow.Tuple, zone uint16) error
	Look(t flow.Tuple, zone uint16) (*liberal.Connection, error)
	Close() error
}

// faces are what the manager has of the host. Tests put others in their place.
type faces struct {
	// supported says what the kernel lacks, or nil.
	supported func() error
	// open makes or adopts the programs, with room for so many entries; remove takes them out of the kernel.
	open   func(shared map[string]*ebpf.Map, room int) (programs, error)
	remove func() error
	// watched begins to count packets of flows.
	watched func(p programs, keys []flow.Key) (watch, error)
	// host, facts and rules read what there is; policy makes of it who may be fast, and equal
	// compares two.
	host   func(*tenant.Set) (*scope.Host, error)
	facts  func(context.Context, *scope.Host) (*bystanders.Facts, error)
	rules  func(context.Context) (*premises.Foreign, error)
	policy func(approval.Inputs) policy
	equal  func(a, b policy) bool
	// changes tells of changes, until ctx is done.
	changes func(ctx context.Context, report func(changes.Change)) error
	liberal func() (liberator, error)
}

func newFaces(o *Options) *faces {
	return &faces{
		supported: bypass.Supported,
		open: func(shared map[string]*ebpf.Map, room int) (programs, error) {
			return bypass.Open(bypass.Options{Pin: o.Pin, NetNS: o.NetNS, Shared: shared, Flows: room})
		},
		remove: func() error { return bypass.Remove(o.Pin, o.NetNS) },
		watched: func(p programs, keys []flow.Key) (watch, error) {
			return p.(*bypass.Bypass).Watch(keys)
		},
		host:    func(s *tenant.Set) (*scope.Host, error) { return host.Read(o.NetNS, s) },
		facts:   func(ctx context.Context, h *scope.Host) (*bystanders.Facts, error) { return readFacts(ctx, o, h) },
		rules:   func(ctx context.Context) (*premises.Foreign, error) { return premises.Read(ctx, o.NetNS) },
		policy:  func(in approval.Inputs) policy { return approval.New(in) },
		equal:   func(a, b policy) bool { return a.(*approval.Policy).Equal(b.(*approval.Policy)) },
		changes: func(ctx context.Context, f func(changes.Change)) error { return changes.Watch(ctx, o.NetNS, f) },
		liberal: func() (liberator, error) { return liberal.Open(o.NetNS) },
	}
}

// readFacts reads what of others is at devices. The programs of the fast path and of the firewall
// are not others'.
func readFacts(ctx context.Context, o *Options, h *scope.Host) (*bystanders.Facts, error) {
	ours, err := bystanders.Pinned(o.ours()...)
	if err != nil {
		return nil, err
	}
	return bystanders.Read(ctx, bystanders.Options{NetNS: o.NetNS, Host: h, NICs: o.NICs, Ours: ours})
}
