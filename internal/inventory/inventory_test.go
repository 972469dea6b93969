// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/study/lab"
)

func TestNamesALab(t *testing.T) {
	privilegetest.NetNS(t)
	prefix := fmt.Sprintf("dwt%dinv", os.Getpid())
	l, err := lab.Up(t.Context(), "bridge", lab.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context has ended by then
		if _, err := lab.Down(context.Background(), "", lab.Options{Prefix: prefix}); err != nil {
			t.Error(err)
		}
	})
	hypervisor, name := l.NetNS(lab.Hypervisor)
	v, _ := newInventory(t, Config{Hypervisors: []uint32{hypervisor}})
	ns := v.NetNS(hypervisor)
	if ns.Name != name || ns.Inode != hypervisor || !ns.Hypervisor {
		t.Errorf("hypervisor: %+v, want %s, inode %d", ns, name, hypervisor)
	}
	for index, want := range map[uint32][2]string{
		1: {"lo", ""}, 2: {"ovs-br", "ovs-br"}, 3: {"brovsns-br", "ovs-br"}, 4: {"ens3", ""},
	} {
		d := v.Device(hypervisor, index)
		if d.Name != want[0] || d.Bridge != want[1] || d.Index != index || d.NetNS != ns {
			t.Errorf("device %d: %+v, want %v in %p", index, d, want, ns)
		}
		if again := v.Device(hypervisor, index); again != d {
			t.Errorf("device %d: another pointer at the second question", index)
		}
	}
	guest, name := l.NetNS(lab.Guest)
	if ns := v.NetNS(guest); ns.Name != name || ns.Hypervisor {
		t.Errorf("guest: %+v, want %s", ns, name)
	}
	if s := v.Stats(); s.Unknown != 0 {
		t.Errorf("%d unknown", s.Unknown)
	}
}

func TestNamesTheHost(t *testing.T) {
	v, _ := newInventory(t, Config{})
	// Process 1 may be out of bounds, as in a container.
	host := cmp.Or(netns.MountedInode("/proc/1/ns/net"), netns.MountedInode("/proc/self/ns/net"))
	if ns := v.NetNS(host); ns.Name != HostName || !ns.Hypervisor {
		t.Errorf("host: %+v, want %q, a hypervisor", ns, HostName)
	}
	if d := v.Device(host, 1); d.Name != "lo" {
		t.Errorf("device 1 of the host: %+v, want lo", d)
	}
	other, _ := newInventory(t, Config{Hypervisors: []uint32{1}})
	if other.NetNS(host).Hypervisor {
		t.Error("the host is a hypervisor although another is configured")
	}
}

// A container's namespace has no name, but processes.
func TestFindsUnnamedNamespaces(t *testing.T) {
	v, c := newInventory(t, Config{})
	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	inode := netns.MountedInode(fmt.Sprintf("/proc/%d/ns/net", sleep.Process.Pid))
	c.advance(time.Second) // the next reading of /proc must not be too early
	if d := v.Device(inode, 1); d.Name != "lo" || d.NetNS.Name != fmt.Sprintf("netns-%d", inode) {
		t.Errorf("%+v in %+v, want lo in netns-%d", d, d.NetNS, inode)
	}
}

func TestNewNamespaceAndDeviceAreFound(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "new")
	if got := v.NetNS(ns.Inode()); got.Name != ns.Name() {
		t.Errorf("new namespace: %+v, want %s", got, ns.Name())
	}
	index := addBridge(t, ns, "late")
	c.advance(v.cfg.MinInterval)
	if d := v.Device(ns.Inode(), index); d.Name != "late" || d.Bridge != "late" {
		t.Errorf("new device, before MaxAge: %+v", d)
	}
}

func TestRenamedDevice(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "rename")
	index := addBridge(t, ns, "before")
	before := v.Device(ns.Inode(), index)
	rename(t, ns, "before", "after")
	if d := v.Device(ns.Inode(), index); d != before {
		t.Errorf("within MaxAge: %+v, want the known %+v", d, before)
	}
	c.advance(v.cfg.MaxAge)
	after := v.Device(ns.Inode(), index)
	if after.Name != "after" || after.NetNS != before.NetNS {
		t.Errorf("after MaxAge: %+v", after)
	}
	if before.Name != "before" {
		t.Errorf("what was handed out changed to %+v", before)
	}
	c.advance(v.cfg.MaxAge)
	if again := v.Device(ns.Inode(), index); again != after {
		t.Error("another pointer though nothing changed")
	}
}

// The kernel gives numbers again, but not when a test wants it to. What reuse
// looks like from outside is a namespace that changes its name and its devices.
func TestReusedInode(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "first")
	inode, index := ns.Inode(), addBridge(t, ns, "br1")
	inside(t, ns, func(nl *netlink.Handle) error {
		return nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "old"}})
	})
	if d := v.Device(inode, index); d.Name != "br1" || d.NetNS.Name != ns.Name() {
		t.Fatalf("the first owner: %+v in %+v", d, d.NetNS)
	}
	second := remount(t, ns, "second")
	rename(t, ns, "br1", "br2")
	inside(t, ns, func(nl *netlink.Handle) error {
		return nl.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(index) + 1}})
	})
	c.advance(v.cfg.MinInterval) // much less than MaxAge
	if d := v.Device(inode, index); d.Name != "br2" || d.NetNS.Name != second {
		t.Errorf("the second owner: %+v in %+v, want br2 in %s", d, d.NetNS, second)
	}
	if d := v.Device(inode, index+1); d.Name == "old" {
		t.Error("the second owner has a device of the first")
	}
}

func TestDeletedNamespaceKeepsItsNames(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "gone")
	index := addBridge(t, ns, "br")
	want := v.Device(ns.Inode(), index)
	inode := ns.Inode() // the handle keeps the number from being given again
	if err := netns.Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour)
	if d := v.Device(inode, index); d != want || d.NetNS.Name != ns.Name() {
		t.Errorf("%+v, want %+v as before", d, want)
	}
	if d := v.Device(inode, 99); d.Name != "if99" || d.NetNS != want.NetNS {
		t.Errorf("unknown device of a namespace that is gone: %+v", d)
	}
}

func TestGoneDeviceKeepsItsNameForAWhile(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "retain")
	index := addBridge(t, ns, "br")
	want := v.Device(ns.Inode(), index)
	inside(t, ns, func(nl *netlink.Handle) error {
		return nl.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(index)}})
	})
	c.advance(retain - time.Second)
	if d := v.Device(ns.Inode(), index); d != want {
		t.Errorf("within %s: %+v, want %+v", retain, d, want)
	}
	c.advance(2 * time.Second)
	if d := v.Device(ns.Inode(), index); d.Name != fmt.Sprint("if", index) {
		t.Errorf("after %s: %+v", retain, d)
	}
}

// However many unknown numbers come, the kernel is asked about them once.
func TestStormOfUnknownNumbers(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "storm")
	v.NetNS(ns.Inode())
	c.advance(v.cfg.MinInterval)
	const n = 50_000
	before := v.Stats()
	for i := range uint32(n) {
		v.Device(ns.Inode(), 1000+i)
	}
	after := v.Stats()
	if got := after.Looks - before.Looks; got != 1 {
		t.Errorf("%d looks for %d unknown devices, want 1", got, n)
	}
	if got := after.Unknown - before.Unknown; got != n {
		t.Errorf("%d counted as unknown, want %d", got, n)
	}
	if got := len(v.space(ns.Inode()).placeholders); got > maxPlaceholders {
		t.Errorf("%d placeholders kept, want %d at most", got, maxPlaceholders)
	}
	d := v.Device(ns.Inode(), 7)
	if d.Name != "if7" || d != v.Device(ns.Inode(), 7) {
		t.Errorf("placeholder %+v, or not the same twice", d)
	}
	if ns := v.NetNS(5); ns.Name != "netns-5" || ns.Inode != 5 {
		t.Errorf("namespace that never was: %+v", ns)
	}
}

// Neither the scans that were complete nor those that failed are ever fewer than before:
// they are counters in the metrics, for which that would be a restart of the agent.
func TestCountsNeverDecrease(t *testing.T) {
	var v *Inventory
	var last Stats
	now := func() time.Time { // is called while a scan is under way, too
		if v == nil {
			return time.Now()
		}
		s := v.Stats()
		if s.Failed < last.Failed || s.Looks-s.Failed < last.Looks-last.Failed {
			t.Errorf("first %+v, then %+v", last, s)
		}
		last = s
		return time.Now()
	}
	made, err := New(Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	v = made
	before := v.Stats()
	for _, inode := range []uint32{5, v.self} { // there is no namespace 5
		v.look(v.space(inode))
	}
	if got := v.Stats(); got.Looks-before.Looks != 2 || got.Failed-before.Failed != 1 {
		t.Errorf("first %+v, then %+v, want two scans more, one of them failed", before, got)
	}
}

// The inventory holds no namespace: when one is deleted, its end of a veth pair
// goes and so does the other.
func TestDoesNotKeepNamespacesAlive(t *testing.T) {
	v, c := newInventory(t, Config{})
	a, b := create(t, "dies"), create(t, "lives")
	inside(t, a, func(nl *netlink.Handle) error {
		return nl.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there", PeerNamespace: netlink.NsFd(b.FD()),
		})
	})
	c.advance(v.cfg.MinInterval)
	if d := v.Device(a.Inode(), 2); d.Name != "here" {
		t.Fatalf("%+v, want here", d)
	}
	watchDeletion(t, b, "there", func() {
		a.Close()
		if err := netns.Delete(a.Name()); err != nil {
			t.Error(err)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	privilegetest.NetNS(t)
	v, err := New(Config{MaxAge: time.Millisecond, MinInterval: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ns := create(t, "conc")
	index := addBridge(t, ns, "a")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range uint32(500) {
				if d := v.Device(ns.Inode(), index); d.Index != index || d.NetNS.Inode != ns.Inode() {
					t.Errorf("%+v", d)
				}
				v.Device(ns.Inode(), 100+i)
				v.NetNS(i)
			}
		})
	}
	for i := range 20 {
		rename(t, ns, string(rune('a'+i)), string(rune('b'+i)))
	}
	wg.Wait()
}

func TestDoesNotWaitForAStuckLook(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "stuck")
	want := v.NetNS(ns.Inode())
	s := v.space(ns.Inode())
	stuck := make(chan struct{})
	s.mu.Lock()
	s.underway, s.deadline = stuck, c.now().Add(time.Millisecond)
	s.mu.Unlock()
	c.advance(v.cfg.MaxAge)
	start := time.Now()
	for i := range uint32(1000) {
		if d := v.Device(ns.Inode(), i+50); d.NetNS != want {
			t.Fatalf("%+v", d)
		}
	}
	if took := time.Since(start); took > 30*time.Second { // one that waits takes a minute
		t.Errorf("1000 answers took %s although the wait was over", took)
	}
	s.mu.Lock()
	s.underway = nil
	s.mu.Unlock()
}

func TestAnswersAfterClose(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "closed")
	want := v.NetNS(ns.Inode())
	v.Close()
	c.advance(time.Hour)
	before := v.Stats().Looks
	if got := v.NetNS(ns.Inode()); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := v.Stats().Looks - before; got != 0 {
		t.Errorf("%d looks after Close", got)
	}
}

func BenchmarkDevice(b *testing.B) {
	v, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	b.ReportAllocs()
	for b.Loop() {
		if v.Device(v.self, 1).Name != "lo" {
			b.Fatal("not lo")
		}
	}
}

// What following costs: a look at every process.
func BenchmarkRefresh(b *testing.B) {
	for name, cfg := range map[string]Config{"namespaces": {}, "containers": {Containers: true}} {
		b.Run(name, func(b *testing.B) {
			v, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer v.Close()
			processes, err := filepath.Glob("/proc/[0-9]*")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				v.Refresh(Everywhere)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(processes)), "ns/process")
		})
	}
}
