// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/fastpath/accelerator"
	"github.com/dwelltrace/dwell/fastpath/flow"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
)

// fakeFastPath answers as it is told, and notes what it is asked for.
type fakeFastPath struct {
	// mode is that of all tenants.
	mode flow.Mode
	err  error

	mu    sync.Mutex
	calls []string
}

func (f *fakeFastPath) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fakeFastPath) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, "; ")
	f.calls = nil
	return calls
}

func (f *fakeFastPath) Status(_ context.Context, q accelerator.Query) (*accelerator.Status, error) {
	s := redsFastPath()
	s.Tenants[0].Tenant, s.Tenants[0].Mode = q.Tenant, f.mode
	return s, f.note("status %s", q.Tenant)
}

func (f *fakeFastPath) Flows(_ context.Context, q accelerator.Query, limit int) (*accelerator.FlowList, error) {
	return &accelerator.FlowList{Flows: redsFlows(), Left: 3}, f.note("flows %s %d", q.Tenant, limit)
}

func (f *fakeFastPath) Flush(_ context.Context, q accelerator.Query) (int, error) {
	return 12, f.note("flush %s", q.Tenant)
}

func (f *fakeFastPath) Why(_ context.Context, q accelerator.WhyQuery) (*accelerator.Why, error) {
	w := &accelerator.Why{
		Packet: "tcp 192.0.2.10:40000 > 198.51.100.2:443", Flows: redsFlows()[:1],
		Reasons: []accelerator.WhyReason{
			{Reason: "lease", Level: "flow", Direction: "to", Text: "The lease is over: the kernel has to see a packet of the flow again, and none has come for 12 s."},
			{Reason: "device", Level: "device", Text: "eth0 has a queue of somebody's."},
		},
	}
	if q.Watch > 0 {
		w.Watched = q.Watch
		w.Observed = []accelerator.Observation{
			{Packet: "tcp 198.51.100.2:443 > 203.0.113.1:40000", In: "eth0", Reason: "length", Text: "it is longer than those that the kernel let pass in this lease", Packets: 3},
			{Packet: "tcp 192.0.2.10:40000 > 198.51.100.2:443", In: "tap-red", Reason: "fast", Text: "it takes the fast path", Packets: 1200},
		}
	}
	return w, f.note("why %s %q %v", q.Tenant, q.Packet, q.Watch)
}

func redsFastPath() *accelerator.Status {
	return &accelerator.Status{
		Supported: true, Attended: true,
		Tenants: []accelerator.TenantStatus{{
			Tenant: "red", Mode: flow.On, Slot: 1, Flows: 12, Capacity: 16384, Approved: 5, Refused: map[string]uint64{"forbidden": 1, "helper": 2}, Waiting: 1,
			From:     accelerator.Counts{Fast: 1_234_567, Bytes: 103_703_628, Same: 120, Learnt: 6, Slow: map[string]uint64{"lease": 110, "tcp-flags": 24, "vlan": 0}},
			To:       accelerator.Counts{Fast: 1_000_000, Bytes: 84_000_000, Same: 119, Differ: 1, Learnt: 6, Slow: map[string]uint64{"lease": 112, "length": 9}, Unlearnt: map[string]uint64{"unreplied": 3}},
			Problems: []string{"tap-red-2 has no program: the kernel refuses it"},
		}},
		Devices: []accelerator.DeviceStatus{
			{Name: "eth0", Index: 2, Attached: true, Blocked: "There is an XDP program of somebody's at eth0, which packets that are sent fast would not meet."},
			{Name: "tap-red", Index: 5, Tenant: "red", Attached: true, Peer: true},
			{Name: "tap-red-2", Index: 6, Tenant: "red"},
		},
		Problems: []string{"Changes of rules of legacy iptables are noticed only by reading them again and again, which takes 120 ms here."},
	}
}

func redsFlows() []accelerator.FlowListing {
	return []accelerator.FlowListing{
		{
			Tenant: "red", State: accelerator.StateRenewing,
			Forth: &accelerator.DirectionListing{
				Packet: "tcp 192.0.2.10:40000 > 198.51.100.2:443", In: "tap-red", Out: "eth0", After: "tcp 203.0.113.1:40000 > 198.51.100.2:443", Routed: true, NextHop: "203.0.113.254",
				State: accelerator.StateFast, Reason: "fast", Last: "lease", Lease: 7200 * time.Millisecond, Idle: 120 * time.Millisecond, Agreed: 12, Longest: 1500, Fast: 981_234, Bytes: 1_000_000_000, Slow: 12,
			},
			Back: &accelerator.DirectionListing{
				Packet: "tcp 198.51.100.2:443 > 203.0.113.1:40000", In: "eth0", Out: "tap-red", VNI: 42, State: accelerator.StateRenewing, Reason: "lease", Last: "lease",
				Lease: -time.Second, Idle: 12 * time.Second, Agreed: 11, Longest: 52, Fast: 500, Bytes: 26000, Slow: 11,
			},
		},
		{
			Tenant: "red", State: accelerator.StateLearning,
			Forth: &accelerator.DirectionListing{Packet: "icmp 192.0.2.10 > 198.51.100.2 type 8/0", ID: 77, In: "tap-red", Out: "eth0", State: accelerator.StateLearning, Reason: "unconfirmed", Agreed: 1, Slow: 1},
		},
	}
}

const redsStatus = `Tenant red: on, 12 of 16384 directions known; 5 approved, 3 refused (forbidden 1, helper 2), 1 waiting
           fast  slow  % fast  bytes fast  learnt  same  differ
from red  1235K   134   100.0        104M       6   120       0
to red    1000K   121   100.0         84M       6   119       1
slow because  from   to
lease          110  112  the lease is over: the kernel has to see a packet of
                         the flow again
tcp-flags       24    0  it opens or closes its connection, or has unusual TCP
                         flags
length           0    9  it is longer than those that the kernel let pass in
                         this lease
not learnt because  from  to
unreplied              0   3  its connection has not seen a reply yet

device     what          programs
eth0       network card  attached  blocked: There is an XDP program of
                                   somebody's at eth0, which packets that are
                                   sent fast would not meet.
tap-red    port of red   attached  direct to the guest's end
tap-red-2  port of red   none

Problems
  Changes of rules of legacy iptables are noticed only by reading them again and
    again, which takes 120 ms here.
  tap-red-2 has no program: the kernel refuses it
`

const redsFlowsText = `next         fast  slow  lease  packet
fast         981K    12   7.2s  tcp 192.0.2.10:40000 > 198.51.100.2:443
lease         500    11      -  tcp 198.51.100.2:443 > 203.0.113.1:40000
unconfirmed     0     1      -  icmp 192.0.2.10 > 198.51.100.2 type 8/0 id 77
`

const redsWhy = `packet  tcp 192.0.2.10:40000 > 198.51.100.2:443
next    slow
why     lease (flow, to the tenant): The lease is over: the kernel has to see a
        packet of the flow again, and none has come for 12 s.
why     device (device): eth0 has a queue of somebody's.

next   fast  slow  lease  packet
fast   981K    12   7.2s  tcp 192.0.2.10:40000 > 198.51.100.2:443
lease   500    11      -  tcp 198.51.100.2:443 > 203.0.113.1:40000
`

const redsWatch = redsWhy + `
Packets seen in 10.0s
packets          packet
   1200  fast    tcp 192.0.2.10:40000 > 198.51.100.2:443
      3  length  tcp 198.51.100.2:443 > 203.0.113.1:40000
  length: it is longer than those that the kernel let pass in this lease
`

// startFastPath serves a fast path to the test's own user.
func startFastPath(t *testing.T, fake *fakeFastPath, policy agentapi.Policy) *apiOf {
	t.Helper()
	b := &apiOf{t: t, hub: agentapi.NewHub(agentapi.HubOptions{}), socket: filepath.Join(t.TempDir(), "agent.sock"), fastPath: fake}
	b.hub.SetTenants([]string{"blue", "red"})
	b.serve(policy)
	t.Cleanup(b.shut)
	return b
}

// runFastPath runs dwell fastpath to its end.
func (b *apiOf) runFastPath(args ...string) (p *process, status int) {
	b.t.Helper()
	p = dwell(b.t, append([]string{"fastpath", "--backend", b.url()}, args...)...)
	return p, p.exit(b.t)
}
