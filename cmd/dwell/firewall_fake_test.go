// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dwelltrace/dwell/fastpath/firewall"
	agentapi "github.com/dwelltrace/dwell/internal/backend"
)

// fakeFirewall answers as it is told, and notes what it is asked for.
type fakeFirewall struct {
	answer   *firewall.Answer
	restored *firewall.Restored
	err      error
	// began is closed when a command begins, which then waits to be interrupted.
	began chan struct{}

	mu    sync.Mutex
	calls []string
}

func (f *fakeFirewall) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fakeFirewall) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, "; ")
	f.calls = nil
	return calls
}

func (f *fakeFirewall) Do(ctx context.Context, r firewall.Request) (*firewall.Answer, error) {
	err := f.note("do %s %s dry=%t others=%t", r.Tenant, strings.Join(r.Words, "|"), r.DryRun, r.AffectOthers)
	if f.began != nil {
		close(f.began)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.answer, err
}

func (f *fakeFirewall) Restore(_ context.Context, r firewall.Restore) (*firewall.Restored, error) {
	return f.restored, f.note("restore %s %d %d bytes dry=%t", r.Tenant, r.Family, len(r.Text), r.DryRun)
}

func (f *fakeFirewall) List(_ context.Context, tenant string) (*firewall.Listing, error) {
	return redsRules(), f.note("list %s", tenant)
}

func (f *fakeFirewall) Save(_ context.Context, tenant string, family int) (string, error) {
	return "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", f.note("save %s %d", tenant, family)
}

func (f *fakeFirewall) Explain(_ context.Context, tenant, packet string) (*firewall.Explanation, error) {
	return &firewall.Explanation{
		Packet: "icmp 192.168.0.10 > 203.0.113.8 type 8/0", Verdict: "drop", Place: "tc", Reason: "every word is in the packet",
		Decider: &redsRules().Families[0].Chains[0].Rules[1], Chain: "FORWARD", Path: []string{"FORWARD 2"},
	}, f.note("explain %s %s", tenant, packet)
}

func (f *fakeFirewall) Flush(_ context.Context, tenant string) error {
	return f.note("flush %s", tenant)
}

// redsRules are a listing with something of everything.
func redsRules() *firewall.Listing {
	rule := func(n int, text string, packets uint64, place firewall.Place, reason string) firewall.RuleListing {
		return firewall.RuleListing{Number: n, ID: uint32(n), UUID: "u", Text: text, Packets: packets, Bytes: packets * 84, Place: place, Reason: reason}
	}
	return &firewall.Listing{
		Tenant: "red",
		Families: []firewall.FamilyListing{
			{Family: 4, Place: firewall.TC, Reason: "programs decide what they can", Nodes: 12, Bytes: 768, Chains: []firewall.ChainListing{
				{Name: "FORWARD", Policy: "ACCEPT", Packets: 120_000, Bytes: 10_080_000, Rules: []firewall.RuleListing{
					rule(1, `-s 192.168.0.10/32 -p tcp -m tcp --dport 22 -j DROP`, 7, firewall.TC, "exact"),
					rule(2, `! -s 10.0.0.0/8 -i br-red -p icmp -j web`, 1_234_567, firewall.TC, "exact"),
					rule(3, `-m limit --limit 5/sec -m comment --comment "a \"b\" -j c" -j LOG --log-prefix "red -s "`, 3, firewall.IPTables, "-m limit keeps a count of its own"),
				}},
				{Name: "web", Policy: "-", Rules: []firewall.RuleListing{rule(1, `-f -g other`, 0, firewall.TC, "exact")}},
			}},
			{Family: 6, Place: firewall.IPTables, Reason: "xt_bpf is missing", Chains: []firewall.ChainListing{
				{Name: "FORWARD", Policy: "DROP", Rules: []firewall.RuleListing{rule(1, `-d 2001:db8::1/128 -p ipv6-icmp -j ACCEPT`, 0, firewall.IPTables, "xt_bpf is missing")}},
			}},
		},
		Ports: []firewall.PortListing{
			{Port: "tap-red", Attached: "tcx", Packets: 1203, Passed: 1100, Dropped: 12, Deferred: map[string]uint64{"fragment": 80, "ip-options": 8, "ttl": 0}, Nanoseconds: 81.5},
			{Port: "tap-red-2"},
		},
		Problems: []string{"tap-red-2 has no program: the kernel refuses it"},
	}
}

const redsListing = `IPv4: tc: programs decide what they can (12 nodes, 768 bytes)
Chain FORWARD (policy ACCEPT 120K packets, 10M bytes)
num   pkts  bytes  place     target  prot  opt  in      out  source        destination
  1      7    588  tc        DROP    tcp   --   *       *    192.168.0.10  0.0.0.0/0    --dport 22
  2  1235K   104M  tc        web     icmp  --   br-red  *    !10.0.0.0/8   0.0.0.0/0
  3      3    252  iptables  LOG     all   --   *       *    0.0.0.0/0     0.0.0.0/0    -m limit --limit 5/sec -m comment --comment "a \"b\" -j c" --log-prefix "red -s "
  3 by iptables: -m limit keeps a count of its own
Chain web
num  pkts  bytes  place  target  prot  opt  in  out  source     destination
  1     0      0  tc     other   all   -f   *   *    0.0.0.0/0  0.0.0.0/0    [goto]

IPv6: iptables: xt_bpf is missing
Chain FORWARD (policy DROP 0 packets, 0 bytes)
num  pkts  bytes  place     target  prot       opt  in  out  source  destination
  1     0      0  iptables  ACCEPT  ipv6-icmp  --   *   *    ::/0    2001:db8::1
  1 by iptables: xt_bpf is missing

Ports of red
port       program  packets  passed  dropped  deferred  not IP  ns/packet
tap-red    tcx         1203    1100       12        88       3         82  fragment 80, ip-options 8
tap-red-2  none           0       0        0         0       0          -

Problems
  tap-red-2 has no program: the kernel refuses it
`

// startFirewall serves a firewall to the test's own user, as an operator or as red.
func startFirewall(t *testing.T, fake *fakeFirewall, policy agentapi.Policy) *apiOf {
	t.Helper()
	b := &apiOf{t: t, hub: agentapi.NewHub(agentapi.HubOptions{}), socket: filepath.Join(t.TempDir(), "agent.sock"), firewall: fake}
	b.hub.SetTenants([]string{"blue", "red"})
	b.serve(policy)
	t.Cleanup(b.shut)
	return b
}

// run runs dwell firewall to its end.
func (b *apiOf) run(args ...string) (p *process, status int) {
	b.t.Helper()
	p = dwell(b.t, append([]string{"firewall", "--backend", b.url()}, args...)...)
	return p, p.exit(b.t)
}
