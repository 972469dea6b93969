// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
)

// fakeFastPath notes what it is asked for, and answers with something of every kind.
type fakeFastPath struct {
	err error

	mu    sync.Mutex
	calls []string
}

func (f *fakeFastPath) note(q accelerator.Query, format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...)+fmt.Sprintf(" %s operator=%t", q.Tenant, q.Operator))
	return f.err
}

// took returns what was asked for since it was last called.
func (f *fakeFastPath) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, "; ")
	f.calls = nil
	return calls
}

func (f *fakeFastPath) Status(_ context.Context, q accelerator.Query) (*accelerator.Status, error) {
	return &accelerator.Status{
		Supported: true, Attended: true, Beat: 3e8, Held: true, HeldFor: 5, HeldBecause: "a rule was changed",
		Tenants: []accelerator.TenantStatus{{
			Tenant: q.Tenant, Mode: flow.Shadow, Slot: 1, Flows: 2, Capacity: 16384, Approved: 3, Waiting: 4, Dropped: 5,
			From:    accelerator.Counts{Fast: 10, Bytes: 840, Same: 3, Learnt: 2, Slow: map[string]uint64{"lease": 3}, Unlearnt: map[string]uint64{"state": 1}},
			Refused: map[string]uint64{"forbidden": 1}, Blocked: []string{"somebody's program"}, Problems: []string{"a port has no program"},
		}},
		Devices:  []accelerator.DeviceStatus{{Name: "tap0", Index: 3, Tenant: q.Tenant, Attached: true, Peer: true}, {Name: "eth0", Index: 2, Blocked: "XDP"}},
		Problems: []string{"x"},
	}, f.note(q, "status")
}

func fastPathFlow(tenant string) accelerator.FlowListing {
	return accelerator.FlowListing{
		Tenant: tenant, State: accelerator.StateRenewing,
		Forth: &accelerator.DirectionListing{
			Packet: "tcp 192.0.2.10:40000 > 198.51.100.2:443", In: "tap0", Out: "eth0", After: "tcp 203.0.113.1:40000 > 198.51.100.2:443", Routed: true,
			NextHop: "203.0.113.254", State: accelerator.StateRenewing, Reason: "lease", Detail: "in 3 s", Last: "lease", Lease: -5, Idle: 6, Agreed: 7, Longest: 1500, Fast: 8, Bytes: 9, Slow: 10,
		},
	}
}

func (f *fakeFastPath) Flows(_ context.Context, q accelerator.Query, limit int) (*accelerator.FlowList, error) {
	return &accelerator.FlowList{Flows: []accelerator.FlowListing{fastPathFlow(q.Tenant)}, Left: 1}, f.note(q, "flows %d", limit)
}

func (f *fakeFastPath) Flush(_ context.Context, q accelerator.Query) (int, error) {
	return 12, f.note(q, "flush")
}

func (f *fakeFastPath) Why(_ context.Context, q accelerator.WhyQuery) (*accelerator.Why, error) {
	w := &accelerator.Why{
		Packet: q.Packet, Reasons: []accelerator.WhyReason{{Reason: "lease", Level: "flow", Direction: "from", Text: "it is over"}, {Reason: "held", Level: "host", Text: "rules"}},
		Flows: []accelerator.FlowListing{fastPathFlow(q.Tenant)},
	}
	if q.Watch > 0 {
		w.Watched, w.Observed = q.Watch, []accelerator.Observation{{Packet: q.Packet, In: "tap0", Reason: "fragment", Text: "it is a fragment", Packets: 3}}
	}
	return w, f.note(q.Query, "why %q %v", q.Packet, q.Watch)
}

// emptyFastPath has nothing of anything.
type emptyFastPath struct{}

func (emptyFastPath) Status(context.Context, accelerator.Query) (*accelerator.Status, error) {
	return &accelerator.Status{Unsupported: "no TCX", Tenants: make([]accelerator.TenantStatus, 1)}, nil
}

func (emptyFastPath) Flows(context.Context, accelerator.Query, int) (*accelerator.FlowList, error) {
	return &accelerator.FlowList{}, nil
}
func (emptyFastPath) Flush(context.Context, accelerator.Query) (int, error) { return 0, nil }
func (emptyFastPath) Why(context.Context, accelerator.WhyQuery) (*accelerator.Why, error) {
	return &accelerator.Why{}, nil
}

// fastPathOf is the path of red's fast path.
const fastPathOf = "/v1/tenants/red/fastpath"

// fastPathRequests are of all kinds, each with what the fast path is asked for then.
func fastPathRequests() []firewallRequest {
	get := http.MethodGet
	return []firewallRequest{
		{get, "", "", "", "status red"},
		{get, "/flows", "", "", "flows 1000 red"},
		{get, "/flows?limit=5", "", "", "flows 5 red"},
		{http.MethodDelete, "/flows", "", "", "flush red"},
		{get, "/why?packet=icmp+192.0.2.10+%3E+198.51.100.2", "", "", `why "icmp 192.0.2.10 > 198.51.100.2" 0s red`},
		{get, "/why?packet=x&watch=1.5s", "", "", fmt.Sprintf("why %q %v red", "x", 1500*time.Millisecond)},
	}
}
