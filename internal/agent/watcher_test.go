// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/bpf"
	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/agent"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/pinger"
)

// following is an agent that runs, and the traces that it has made.
type following struct {
	*agent.Agent
	t    *testing.T
	stop func() agent.Summary

	mu     sync.Mutex
	traces []*trace.Trace
	// netfilter is why this kernel cannot time the chains, or nil.
	netfilter error
}

func follow(t *testing.T, opts agent.Options) *following {
	t.Helper()
	privilegetest.BPF(t)
	f := &following{t: t}
	if len(opts.Scope.Addresses) == 0 {
		opts.Scope.Addresses = []netip.Prefix{netip.PrefixFrom(own(), 32)}
	}
	if opts.Timeout == 0 {
		opts.Timeout = unhurried
	}
	opts.OnTrace = func(tr *trace.Trace) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.traces = append(f.traces, tr)
	}
	opts.WithoutNetfilter = func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if errors.Is(err, bpf.ErrUnsupported) {
			f.netfilter = err
		}
	}
	a, err := start(opts)
	if err != nil {
		t.Fatal(err)
	}
	f.Agent = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan agent.Summary, 1)
	go func() {
		s, err := a.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- s
	}()
	f.stop = sync.OnceValue(func() agent.Summary { cancel(); return <-done })
	t.Cleanup(func() { f.stop() })
	return f
}

// until waits for a status. If that cannot come because the kernel is too old to time the
// netfilter chains, it ends the test.
func (f *following) until(what string, is func(agent.Status) bool) agent.Status {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(unhurried); ; <-tick.C {
		f.mu.Lock()
		netfilter := f.netfilter
		f.mu.Unlock()
		if s := f.Status(); is(s) {
			return s
		} else if netfilter != nil {
			privilegetest.Kernel(f.t, netfilter)
		} else if time.Now().After(deadline) {
			f.t.Fatalf("%s: not so after %v: %+v", what, unhurried, s)
		}
	}
}

// resolved waits until all references mean something, and are so many namespaces.
func (f *following) resolved(namespaces int) {
	f.t.Helper()
	f.until(fmt.Sprintf("%d namespaces", namespaces), func(s agent.Status) bool {
		return s.Unresolved.Count() == 0 && s.NetNS == namespaces
	})
}

// named waits until the agent knows the namespace by a name, which its traces get when they
// are closed. It looks for names beside that, and tells the kernel of the namespace first.
func (f *following) named(ns *netns.NS, name string) {
	f.t.Helper()
	f.until("called "+name, func(agent.Status) bool { return f.Resolver().NetNS(ns.Inode()).Name == name })
}

// traced stops the agent and returns how many pings of each namespace it has traced.
func (f *following) traced() map[string]int {
	f.t.Helper()
	if sum := f.stop(); sum.Lost() > 0 || sum.Complete != sum.Pings() {
		f.t.Error(sum)
	}
	got := map[string]int{}
	for _, tr := range f.traces {
		got[tr.Root().NetNS.Name]++
	}
	return got
}

// names of namespaces of this test: the first is what they all begin with.
func names(t *testing.T, suffixes ...string) (prefix string, all []string) {
	t.Helper()
	privilegetest.BPF(t)
	prefix = fmt.Sprintf("dwf%d-", os.Getpid())
	for _, s := range suffixes {
		all = append(all, prefix+s)
	}
	return prefix, all
}

// create makes a namespace in which own can be pinged.
func create(t *testing.T, name string) *netns.NS {
	t.Helper()
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := nl.LinkSetUp(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		t.Fatal(err)
	}
	return ns
}

// remove deletes the namespace at once.
func remove(t *testing.T, ns *netns.NS) {
	t.Helper()
	ns.Close()
	if err := netns.Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
}

// own is an address of the loopback device that nobody else's tests ping: in the moment
// that a namespace is gone and the agent has not been told, another may have its number.
func own() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(pid>>16)&0x7f + 1, byte(pid >> 8), byte(pid)})
}

func pingIn(t *testing.T, ns *netns.NS, count int) {
	t.Helper()
	r, err := pinger.Run(t.Context(), pinger.Config{
		NetNS: ns, Target: own(), Count: count, Flood: true, Timeout: unhurried,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost() > 0 {
		t.Fatalf("%d of %d lost in %s", r.Lost(), count, ns.Name())
	}
}

func TestNothingThatIsMeantIsNothingSeen(t *testing.T) {
	prefix, name := names(t, "other", "late")
	f := follow(t, agent.Options{Scope: agent.Scope{
		NetNS: []string{name[1], prefix + "nobody*"}, Netfilter: []string{agent.NoNetfilter},
	}})
	s := f.Status()
	if want := []string{name[1], prefix + "nobody*"}; !slices.Equal(s.Unresolved.NetNS, want) || s.NetNS != 0 {
		t.Errorf("unresolved %v of %d namespaces, want %v of none", s.Unresolved, s.NetNS, want)
	}
	pingIn(t, create(t, name[0]), 10)
	late := create(t, name[1])
	f.until("late", func(s agent.Status) bool { return s.NetNS == 1 })
	f.named(late, name[1])
	pingIn(t, late, 7)
	if diff := cmp.Diff(map[string]int{name[1]: 7}, f.traced()); diff != "" {
		t.Error(diff)
	}
}

// Namespaces come, go, and come again under the same name, which often is the same number.
func TestNamespacesComeAndGo(t *testing.T) {
	prefix, name := names(t, "tenant-a", "tenant-b", "stranger")
	f := follow(t, agent.Options{Scope: agent.Scope{NetNS: []string{prefix + "tenant-*"}}})
	want := map[string]int{}
	stranger := create(t, name[2])
	for round := range 3 {
		a := create(t, name[0])
		f.resolved(1)
		f.named(a, name[0])
		pingIn(t, a, 10+round)
		b := create(t, name[1])
		f.resolved(2)
		f.named(b, name[1])
		pingIn(t, b, 5)
		pingIn(t, stranger, 3)
		// The traces are named before the next namespaces have the numbers.
		want[name[0]] += 10 + round
		want[name[1]] += 5
		f.until("traces", func(s agent.Status) bool { return int(s.Pings()) == want[name[0]]+want[name[1]] })
		remove(t, a)
		remove(t, b)
		f.until("gone", func(s agent.Status) bool { return s.NetNS == 0 })
	}
	if diff := cmp.Diff(want, f.traced()); diff != "" {
		t.Error(diff)
	}
}

func TestReferencesByNumberPathAndPattern(t *testing.T) {
	_, name := names(t, "path", "pid", "renamed", "new-name")
	sleep := exec.Command("sleep", "600")
	pid := create(t, name[1])
	if err := pid.Do(sleep.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	f := follow(t, agent.Options{Scope: agent.Scope{NetNS: []string{
		netns.Dir + "/" + name[0], fmt.Sprint(sleep.Process.Pid), name[3][:len(name[3])-1] + "[e]",
	}}})
	if s := f.Status(); s.NetNS != 1 || s.Unresolved.Count() != 2 {
		t.Errorf("%d namespaces, unresolved %v; want the process's only", s.NetNS, s.Unresolved)
	}
	path := create(t, name[0])
	f.until("path", func(s agent.Status) bool { return s.NetNS == 2 })
	renamed := create(t, name[2])
	if err := bindMount(renamed, name[3]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.Delete(name[3]) })
	f.resolved(3)
	for i, ns := range []*netns.NS{path, pid, renamed} {
		f.named(ns, name[[]int{0, 1, 3}[i]])
		pingIn(t, ns, 10*(i+1))
	}
	want := map[string]int{name[0]: 10, name[1]: 20, name[3]: 30}
	if diff := cmp.Diff(want, f.traced()); diff != "" {
		t.Error(diff)
	}
}

// bindMount gives the namespace another name in place of its own.
func bindMount(ns *netns.NS, name string) error {
	path := netns.Dir + "/" + name
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	if err := syscall.Mount(netns.Dir+"/"+ns.Name(), path, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return netns.Delete(ns.Name())
}

func TestScopeThatCannotBe(t *testing.T) {
	f := follow(t, agent.Options{Scope: agent.Scope{NetNS: []string{"nobody-at-all"}}})
	for _, s := range []agent.Scope{
		{NetNS: []string{""}},
		{NetNS: []string{"tenant-["}},
		{Interfaces: []string{strings.Repeat("a", 128)}},
		{Interfaces: []string{"ens["}},
		{Interfaces: []string{"a/b"}},
		{Addresses: []netip.Prefix{{}}},
	} {
		if err := f.SetScope(s); err == nil {
			t.Errorf("SetScope(%+v) did not fail", s)
		}
	}
	if s := f.Status(); !slices.Equal(s.Unresolved.NetNS, []string{"nobody-at-all"}) {
		t.Errorf("unresolved %v: the scope is not the first any more", s.Unresolved)
	}
	f.stop()
	if err := f.SetScope(agent.Scope{}); err == nil {
		t.Error("SetScope after the end did not fail")
	}
	if s := f.Status(); s.Attached || s.LastIteration.IsZero() {
		t.Errorf("after the end: attached %v, last iteration %v", s.Attached, s.LastIteration)
	}
}

func TestStrictScope(t *testing.T) {
	privilegetest.BPF(t)
	_, err := agent.Start(agent.Options{Strict: true, Scope: agent.Scope{NetNS: []string{"nobody-at-all", "nobody-*"}}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `no network namespace "nobody-at-all"`) {
		t.Errorf("error %v", err)
	}
}
