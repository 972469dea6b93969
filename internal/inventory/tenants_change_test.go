// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func redAndBlue(t *testing.T) *tenant.Set {
	t.Helper()
	return setOf(t, nil,
		tenant.Tenant{ID: "red", Ports: []string{"red-*"}, Bridges: []string{"br-red"}, NetNS: []string{"*-red"}},
		tenant.Tenant{ID: "blue", Ports: []string{"blue-*"}, Bridges: []string{"br-blue"}, NetNS: []string{"*-blue"}},
	)
}

// soon lets so much time pass that notifications are read, and no more looks are due for
// their age.
func (w *world) soon() { w.clock.advance(w.v.cfg.MinInterval + checkInterval) }

func TestPortIsMovedToAnotherBridge(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	w.device("br-red", &netlink.Bridge{})
	w.device("br-blue", &netlink.Bridge{})
	at := w.device("p1", &netlink.Ifb{})
	w.enslave("p1", "br-red")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	expectOwner(t, w.v, at, "red")
	w.enslave("p1", "br-blue")
	w.soon()
	if d := expectOwner(t, w.v, at, unsure); d.Bridge != "br-blue" {
		t.Errorf("%+v", d)
	}
	w.settle()
	expectOwner(t, w.v, at, "blue")
}

// A namespace with the number of one that is gone is nobody's until the traces of the former
// are made. It takes some tries to have the kernel reuse a number.
func TestReusedNamespace(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	w.v.SetTenants(redAndBlue(t))
	for range 20 {
		if w.reuse(t) {
			return
		}
	}
	t.Fatal("the kernel never reused a number")
}

func (w *world) reuse(t *testing.T) bool {
	red, err := netns.Create(fmt.Sprintf("%s-red", w.hyp.Name()))
	if err != nil {
		t.Fatal(err)
	}
	w.later()
	expectSpace(t, w.v, red.Inode(), "red")
	red.Close()
	if err := netns.Delete(red.Name()); err != nil {
		t.Fatal(err)
	}
	var blue *netns.NS
	for deadline := time.Now().Add(2 * time.Second); blue == nil || blue.Inode() != red.Inode(); {
		if time.Now().After(deadline) {
			return false // somebody else has the number
		}
		blue = create(t, fmt.Sprintf("%d-blue", w.clock.ns.Add(1)))
	}
	port := add(t, blue, "p1", &netlink.Ifb{})
	w.soon()
	w.clock.advance(checkInterval)
	for range 3 {
		if ns := expectSpace(t, w.v, red.Inode(), "private"); ns.Name != blue.Name() {
			t.Errorf("the namespace is called %s", ns.Name)
		}
		expectOwner(t, w.v, port, unsure)
		w.clock.advance(w.v.cfg.Settle / 4)
	}
	w.settle()
	expectSpace(t, w.v, red.Inode(), "blue")
	expectOwner(t, w.v, port, "blue")
	return true
}

// A tenant that is defined anew is the owner of the same.
func TestTenantsChange(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	guest, port, end := w.guest("g-red", "p1")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	before := expectOwner(t, w.v, port, "red")
	expectOwner(t, w.v, end, "red")
	w.v.SetTenants(redAndBlue(t))
	if after := expectOwner(t, w.v, port, "red"); after != before {
		t.Error("another pointer though nothing changed")
	}
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "green", NetNS: []string{"*-g-red"}}))
	for _, at := range []trace.Place{port, end} {
		expectOwner(t, w.v, at, unsure)
	}
	expectSpace(t, w.v, guest.Inode(), "private")
	w.settle()
	for _, at := range []trace.Place{port, end} {
		expectOwner(t, w.v, at, "green")
	}
	expectSpace(t, w.v, guest.Inode(), "green")
}

// A machine that is started has its port at once.
func TestMachineIsStarted(t *testing.T) {
	libvirt := t.TempDir()
	w := newWorld(t, Config{LibvirtDir: libvirt, MinInterval: time.Microsecond})
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "red", VMs: []string{"web"}}))
	at := addTap(t, w.hyp, "vnet0")
	w.later()
	expectOwner(t, w.v, at, unsure)
	if u := w.v.Tenants().Unmatched; len(u) != 1 || u[0].Name != "web" {
		t.Errorf("unmatched %v", u)
	}
	copyRecord(t, filepath.Join(libvirt, "web.xml"), "vnet0")
	w.clock.advance(checkInterval)
	expectOwner(t, w.v, at, "red")
	if u := w.v.Tenants().Unmatched; len(u) != 0 {
		t.Errorf("unmatched %v", u)
	}
}

// A guest's port is never one that all may see, and its guest never somebody else's, however
// soon after it was made and while others come and go. Nothing is asked before.
func TestNewGuestsAreNeverPublic(t *testing.T) {
	privilegetest.NetNS(t)
	hyp := create(t, "hyp")
	v, err := New(Config{Hypervisors: []uint32{hyp.Inode()}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	v.SetTenants(redAndBlue(t))
	v.Device(hyp.Inode(), 1)
	for i := range 60 {
		deadline := time.Now().Add(30 * time.Second)
		owner := []string{"red", "blue"}[i%2]
		port := []string{"red-%d", "p%d"}[i/2%2] // by the port's name, or by the namespace's
		guest := create(t, fmt.Sprintf("new%d%s", i, map[bool]string{true: "", false: "-" + owner}[port == "red-%d"]))
		if port == "red-%d" {
			owner = "red"
		}
		here, there := pairOf(t, hyp, fmt.Sprintf(port, i), guest, "eth0")
		for asked := 0; ; asked++ {
			d, g := v.Device(here.NetNS, here.Index), v.NetNS(there.NetNS)
			if got := ownerOf(d); got != owner && got != unsure || g.Shared || g.Tenant != "" && g.Tenant != owner {
				t.Fatalf("guest %d, asked %d times: the port %+v belongs to %s, the guest to %+v", i, asked, d, got, g)
			}
			if ownerOf(d) == owner && g.Tenant == owner {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("guest %d belongs to nobody: %+v, %+v", i, d, g)
			}
		}
		if err := netns.Delete(guest.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything may be called at the same time.
func TestTenantsAtOnce(t *testing.T) {
	privilegetest.NetNS(t)
	hyp, guest := create(t, "hyp"), create(t, "g-red")
	here, there := pairOf(t, hyp, "p1", guest, "eth0")
	v, err := New(Config{Hypervisors: []uint32{hyp.Inode()}, MaxAge: time.Millisecond, MinInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var all sync.WaitGroup
	set := redAndBlue(t)
	for _, f := range []func(int){
		func(int) { v.Device(here.NetNS, here.Index) },
		func(int) { v.Device(there.NetNS, there.Index) },
		func(i int) { v.SetTenants(map[bool]*tenant.Set{true: set}[i%8 > 0]) },
		func(i int) { v.SetHypervisors([]uint32{[]uint32{here.NetNS, there.NetNS}[i%2]}) },
		func(int) { v.Tenants() },
		func(int) { v.Refresh(Names) },
	} {
		all.Go(func() {
			for i := range 300 {
				f(i)
			}
		})
	}
	all.Wait()
	v.SetTenants(set)
	v.SetHypervisors([]uint32{here.NetNS})
	deadline := time.Now().Add(30 * time.Second)
	for ownerOf(v.Device(here.NetNS, here.Index)) != "red" || v.NetNS(there.NetNS).Tenant != "red" {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", v.Device(here.NetNS, here.Index))
		}
	}
}

// What was scanned before the tenants came is in doubt when they change, too, though nobody has
// asked about it.
func TestTenantsChangeOfWhatNobodyAskedAbout(t *testing.T) {
	w := newWorld(t, Config{})
	guest := create(t, "g-red")
	w.v.look(w.v.space(guest.Inode()))
	w.v.SetTenants(redAndBlue(t))
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "green", NetNS: []string{"*-g-red"}}))
	expectSpace(t, w.v, guest.Inode(), "private")
	w.settle()
	expectSpace(t, w.v, guest.Inode(), "green")
}

// A namespace that is not where it was found may be another one: that is found out at once.
func TestNamespaceIsNotWhereItWas(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	red, other := create(t, "g-red"), create(t, "other")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	expectSpace(t, w.v, red.Inode(), "red")
	bind(t, other, red.Name())
	w.clock.advance(checkInterval)
	expectSpace(t, w.v, red.Inode(), "red") // there is no other one
	if w.v.space(red.Inode()).snapshot.Load().found {
		t.Error("it is still believed to be where it was")
	}
	w.settle()
	expectSpace(t, w.v, red.Inode(), "private")
}

// What is gone stays whose it was only if it was looked for everywhere, and not for long.
func TestGoneNamespaces(t *testing.T) {
	w := newWorld(t, Config{})
	w.v.SetTenants(redAndBlue(t))
	now := w.clock.now()
	settle := w.v.cfg.Settle
	for _, test := range []struct {
		thorough bool
		gone     time.Duration
		want     string
	}{{true, 0, "red"}, {true, settle - 1, "red"}, {true, settle, ""}, {false, 0, ""}} {
		snap := &snapshot{
			netns: &trace.NetNS{Inode: 4711, Name: "x"}, thorough: test.thorough, gone: now.Add(-test.gone),
			owner: spaceOwner{role: "red", judged: true},
		}
		w.v.attribute(4711, snap, now)
		if snap.netns.Tenant != test.want || snap.netns.Shared {
			t.Errorf("%+v: %+v", test, snap.netns)
		}
	}
}

// A number that was another namespace's, of nobody, is in doubt if it comes to a tenant. One
// that is the same namespace is not: it has got its name.
func TestCookies(t *testing.T) {
	w := newWorld(t, Config{})
	guest := create(t, "g-red")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	s := w.v.space(guest.Inode())
	for _, test := range []struct {
		cookie func(uint64) uint64
		want   string
	}{
		{func(c uint64) uint64 { return c }, "red"},
		{func(c uint64) uint64 { return c + 1 }, "private"},
		{func(uint64) uint64 { return 0 }, "red"}, // the kernel does not say
	} {
		w.v.look(s)
		snap := *s.snapshot.Load()
		if snap.cookie == 0 {
			t.Fatal("the kernel did not say which namespace it is")
		}
		snap.cookie = test.cookie(snap.cookie)
		snap.owner = spaceOwner{judged: true}
		s.snapshot.Store(&snap)
		w.v.look(s)
		expectSpace(t, w.v, guest.Inode(), test.want)
	}
}
