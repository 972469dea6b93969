// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// While one lab is flooded, namespaces come and go and the scope is changed, with and
// without what needs the packets' memory in the kernel: not a trace is lost.
func TestFloodWhileScopeChanges(t *testing.T) {
	const count = 2000
	l := up(t, "nat")
	_, hypervisor := l.NetNS(lab.Hypervisor)
	// All of them have an address, so that the kernel side remembers who has passed.
	inLab := agent.Scope{Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, NetNS: []string{prefix(l) + "*"}, Hypervisors: []string{hypervisor}, Netfilter: []string{agent.NoNetfilter}}
	more, addressed, both := inLab, inLab, inLab
	more.NetNS = append([]string{hypervisor + "-*"}, inLab.NetNS...)
	addressed.Addresses = []netip.Prefix{netip.PrefixFrom(l.Target(false), 32)}
	both.Addresses = append([]netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")}, addressed.Addresses...)
	f := follow(t, agent.Options{Scope: inLab})
	flooding, over := context.WithCancel(t.Context())
	var changes sync.WaitGroup
	changes.Go(func() {
		for i := 0; flooding.Err() == nil; i++ {
			if err := f.SetScope([]agent.Scope{more, addressed, both, inLab}[i%4]); err != nil {
				t.Error(err)
			}
			ns, err := netns.Create(hypervisor + "-passing")
			if err != nil {
				t.Error(err)
				return
			}
			ns.Close()
			if err := netns.Delete(ns.Name()); err != nil {
				t.Error(err)
			}
		}
	})
	ping(t, l, pinger.Config{Count: count, Flood: true})
	over()
	changes.Wait()
	f.until("traces", func(s agent.Status) bool { return s.Pings() >= count })
	sum := f.stop()
	if sum.Complete != count || sum.Pings() != count || sum.Lost() != 0 {
		t.Error(sum)
	}
	whole := len(f.traces[0].Spans)
	for _, tr := range f.traces {
		if len(tr.Spans) != whole {
			t.Fatalf("seq %d has %d spans, others %d: %v", tr.Ping.Seq, len(tr.Spans), whole, path(l, tr))
		}
	}
}

// A device is looked at by the name that it has at the time.
func TestRenamedInterface(t *testing.T) {
	_, name := names(t, "ifname")
	ns := create(t, name[0])
	p := inside(t, ns)
	p.must(p.nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "before"}, PeerName: "end"}))
	p.must(p.nl.LinkSetUp(p.link("end")))
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	p.must(err)
	p.must(p.nl.AddrAdd(p.link("before"), addr))
	p.must(p.nl.LinkSetUp(p.link("before")))
	f := follow(t, agent.Options{
		Scope: agent.Scope{
			NetNS: []string{name[0]}, Interfaces: []string{"after"}, Netfilter: []string{agent.NoNetfilter},
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.77/32")},
		},
		Timeout: 100 * time.Millisecond,
	})
	target := netip.MustParseAddr("192.0.2.77") // nobody: the other end does not take it
	send := func(device string, seq int) {
		p.neighbour(device, target, []byte{2, 0, 0, 0, 0, 1})
		p.must(p.send(echo{target: target, id: 1, seq: seq, payload: clockPayload(56)}))
	}
	send("before", 1)
	p.rename("before", "after")
	send("after", 2)
	f.until("a trace", func(s agent.Status) bool { return s.Pings() > 0 })
	p.rename("after", "later")
	send("later", 3)
	if sum := f.stop(); sum.Pings() != 1 {
		t.Fatal(sum)
	}
	if got := f.traces[0].Ping.Seq; got != 2 {
		t.Errorf("seq %d was seen, want 2", got)
	}
}

// The hypervisor's namespace is deleted and made anew under the same name: role and
// netfilter chains follow, and the old one is let go of.
func TestHypervisorComesAgain(t *testing.T) {
	_, name := names(t, "hyper")
	f := follow(t, agent.Options{Scope: agent.Scope{NetNS: []string{name[0]}, Hypervisors: []string{name[0]}}})
	if s := f.Status(); !slices.Equal(s.Unresolved.NetNS, name[:1]) || s.Netfilter != 0 {
		t.Errorf("unresolved %v, netfilter in %d; want %v, 0", s.Unresolved, s.Netfilter, name[:1])
	}
	for range 2 {
		ns := create(t, name[0])
		inode := ns.Inode()
		f.until("netfilter", func(s agent.Status) bool { return s.Netfilter == 1 && s.Unresolved.Count() == 0 })
		before := f.Status().Pings()
		pingIn(t, ns, 5)
		f.until("traces", func(s agent.Status) bool { return s.Pings() == before+5 })
		if got := f.Resolver().NetNS(inode); !got.Hypervisor {
			t.Errorf("%+v is no hypervisor", got)
		}
		remove(t, ns)
		f.until("detached", func(s agent.Status) bool { return s.Netfilter == 0 })
	}
	f.stop()
	for _, tr := range f.traces {
		if kinds := fmt.Sprint(tr.Spans); !strings.Contains(kinds, "netfilter") {
			t.Fatalf("no netfilter chain in %s", kinds)
		}
	}
}

// How long it takes from a namespace's being there to its being looked into.
func BenchmarkFollow(b *testing.B) {
	privilegetest.BPF(b)
	name := fmt.Sprintf("dwf%d-bench", os.Getpid())
	a, err := agent.Start(agent.Options{Scope: agent.Scope{NetNS: []string{name + "*"}, Netfilter: []string{agent.NoNetfilter}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { _, err := a.Run(ctx); done <- err }()
	await := func(n int) {
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for a.Status().NetNS != n {
			<-tick.C
		}
	}
	var lags []time.Duration
	for b.Loop() {
		await(0)
		ns, err := netns.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		await(1)
		lags = append(lags, time.Since(begin))
		ns.Close()
		if err := netns.Delete(name); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	slices.Sort(lags)
	b.ReportMetric(lags[len(lags)/2].Seconds()*1e3, "ms/median")
	b.ReportMetric(lags[len(lags)-1].Seconds()*1e3, "ms/max")
}
