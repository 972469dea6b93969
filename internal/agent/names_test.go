// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// slow is an agent.Names that does not find out what is in a namespace while it is not 0, and tells
// whether it was asked about that.
type slow struct {
	agent.Names
	inode, asked *atomic.Uint32
}

func (s slow) Named(netns, ifindex uint32, seen time.Time) bool {
	if inode := s.inode.Load(); inode != 0 && inode == netns {
		s.asked.Store(netns)
		return false
	}
	return s.Names.Named(netns, ifindex, seen)
}

func slowNames(scope agent.Scope) (opts agent.Options, inode, asked *atomic.Uint32) {
	inode, asked = new(atomic.Uint32), new(atomic.Uint32)
	return agent.Options{
		Scope: scope, Names: func(n agent.Names) agent.Names { return slow{n, inode, asked} },
	}, inode, asked
}

// count returns how many pings of a namespace have been traced.
func (f *following) count(name string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tr := range f.traces {
		if tr.Root().NetNS.Name == name {
			n++
		}
	}
	return n
}

// While names of one namespace are not to be had, the pings of others are traced; those that waited
// are when there are names, with all that is known.
func TestNamesThatComeLateHoldUpNobodyElse(t *testing.T) {
	prefix, name := names(t, "slow", "fast")
	opts, inode, asked := slowNames(agent.Scope{NetNS: []string{prefix + "*"}, Netfilter: []string{agent.NoNetfilter}})
	opts.NameWait = unhurried
	f := follow(t, opts)
	late, other := create(t, name[0]), create(t, name[1])
	f.resolved(2)
	f.named(late, name[0])
	f.named(other, name[1])
	inode.Store(late.Inode())
	pingIn(t, late, 3)
	pingIn(t, other, 3)
	f.until("the pings of the other namespace are traced, and three wait", func(s agent.Status) bool {
		return f.count(name[1]) == 3 && s.Correlator.Unnamed == 3
	})
	if n := f.count(name[0]); n != 0 || asked.Load() == 0 {
		t.Fatalf("%d traces of those that wait for names", n)
	}
	inode.Store(0)
	f.until("nothing waits", func(s agent.Status) bool { return s.Correlator.Unnamed == 0 && s.Correlator.Open == 0 })
	if diff := cmp.Diff(map[string]int{name[0]: 3, name[1]: 3}, f.traced()); diff != "" {
		t.Error(diff)
	}
}

// What waits for names when the run is over is traced nevertheless, and counted.
func TestNamesThatDoNotComeAreGivenUpAtTheEnd(t *testing.T) {
	prefix, name := names(t, "never")
	opts, inode, asked := slowNames(agent.Scope{NetNS: []string{prefix + "*"}, Netfilter: []string{agent.NoNetfilter}})
	f := follow(t, opts)
	never := create(t, name[0])
	f.resolved(1)
	f.named(never, name[0])
	inode.Store(never.Inode())
	const count = 5
	pingIn(t, never, count)
	if diff := cmp.Diff(map[string]int{name[0]: count}, f.traced()); diff != "" {
		t.Error(diff)
	}
	if s := f.stop(); s.Correlator.GivenUp != count || s.Losses().Unnamed != count || s.Correlator.Unnamed != 0 || asked.Load() == 0 {
		t.Errorf("%+v, want %d given up", s.Correlator, count)
	}
}

// A run that ends at once waits for the names of what nobody has looked at before.
func TestNamesAreFoundAtTheEnd(t *testing.T) {
	privilegetest.BPF(t)
	lan := netip.MustParsePrefix("192.168.0.0/16") // of the lab
	f := follow(t, agent.Options{Filter: bpf.Filter{Addresses: []netip.Prefix{lan}}, NameWait: unhurried})
	l := bridge(t)
	const count = 3
	ping(t, l, pinger.Config{Count: count, Flood: true})
	f.stop()
	mine, traces := inodes(l), 0
	for _, tr := range f.traces {
		if !slices.Contains(mine, tr.Root().NetNS.Inode) {
			continue // of somebody else's
		}
		traces++
		for i := range tr.Spans {
			s := &tr.Spans[i]
			if d := s.Device; d != nil && d.Name == fmt.Sprint("if", d.Index) || strings.HasPrefix(s.NetNS.Name, "netns-") {
				t.Errorf("no name: %v in %s", d, s.NetNS.Name)
			}
		}
	}
	if traces != count {
		t.Errorf("%d traces, want %d", traces, count)
	}
}

// The trace of a ping in a namespace that has just been made has its names, without anybody having
// waited for those before.
func TestNewNamespaceHasNames(t *testing.T) {
	prefix, name := names(t, "new-a", "new-b", "new-c")
	f := follow(t, agent.Options{Scope: agent.Scope{NetNS: []string{prefix + "*"}, Netfilter: []string{agent.NoNetfilter}}, NameWait: unhurried})
	for i, name := range name {
		ns := create(t, name)
		f.resolved(i + 1)
		pingIn(t, ns, 3)
	}
	if diff := cmp.Diff(map[string]int{name[0]: 3, name[1]: 3, name[2]: 3}, f.traced()); diff != "" {
		t.Error(diff)
	}
	for _, tr := range f.traces {
		for i := range tr.Spans {
			if d := tr.Spans[i].Device; d != nil && d.Name != "lo" {
				t.Errorf("a device is called %s", d.Name)
			}
		}
	}
}
