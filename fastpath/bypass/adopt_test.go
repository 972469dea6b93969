// SPDX-License-Identifier: Apache-2.0

package bypass

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What the next agent finds goes on: flows, tenants and devices are there. But nothing that was known holds, until
// it is seen again, and nothing is sent fast before somebody attends.
func TestAdopt(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	if err := errors.Join(b.SetTenants([]Tenant{{Slot: 1, Number: 11, Mode: 2, Capacity: 9}}), b.SetAgreed(7), b.Beat()); err != nil {
		t.Fatal(err)
	}
	b.Hold(true)
	put(t, b, udp(true, 1), plainFlow{Id: 1, Slot: 1, Approval: 1})
	before, was := numbers(t, b), settings(t, b)
	if err := b.Close(); err != nil { // as a crash does
		t.Fatal(err)
	}
	b = l.open()
	l.want("adopted", b, d0.Index, both())
	if f, err := b.Get(udp(true, 1)); err != nil || f.ID != 1 || !f.Changed {
		t.Errorf("flow %+v: %v", f, err)
	}
	if got := tenantsOf(t, b)[1]; got != (plainTenant{Mode: 2, Number: 11, Capacity: 9}) {
		t.Errorf("tenant %+v", got)
	}
	if got, err := b.Attached(); err != nil || len(got) != 1 || !got[0].Port || got[0].Slot != 1 {
		t.Errorf("attached %+v: %v", got, err)
	}
	is := settings(t, b)
	if is.Agreed != 7 || is.Approval == was.Approval || is.Held != 0 {
		t.Errorf("settings %+v, before %+v", is, was)
	}
	if raised(t, b, before)[epochAll] == 0 {
		t.Error("what was known holds without being seen again")
	}
	if until := attended(t, b); until != 0 {
		t.Errorf("attended until %d before the first heartbeat", until)
	}
}

// If one map has another form, all are made anew, and programs that are attached use the new ones.
func TestAdoptAnotherSize(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	put(t, b, udp(true, 1), plainFlow{Id: 1, Slot: 1})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(Options{Pin: l.pin, NetNS: l.ns, Flows: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if n := len(all(t, b)) + len(usage(t, b)); n != 0 {
		t.Errorf("%d flows and tenants that have some", n)
	}
	if n, err := b.Room(); n != 100 || err != nil {
		t.Errorf("room for %d: %v", n, err)
	}
	l.want("adopted", b, d0.Index, both())
	if got, err := b.Attached(); err != nil || len(got) != 0 {
		t.Errorf("known: %+v, %v", got, err)
	}
	l.set(b, d0)
	l.want("set", b, d0.Index, both())
	if s := settings(t, b); s.Agreed != defaultAgreed || s.Lease != defaultLeaseSeconds*b.kernel.hz {
		t.Errorf("settings %+v", s)
	}
}

// An agent that ended before it had written settings leaves none that would send anything too early.
func TestAdoptUnfinished(t *testing.T) {
	l := newLab(t, 0)
	b := l.open()
	if err := errors.Join(b.maps[plainMapSettings].Put(uint32(0), plainSetting{}), b.Close()); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	if s := settings(t, b); s.Agreed != defaultAgreed || s.Lease != defaultLeaseSeconds*b.kernel.hz || s.Approval == 0 {
		t.Errorf("settings %+v", s)
	}
}

// What another version has pinned stays until ours is attached, and then goes.
func TestOtherLayout(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	old := filepath.Join(versions(l.pin), "v0")
	if err := errors.Join(b.Close(), os.Rename(b.dir(), old)); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	strays := map[string][]string{"ingress": {"stray"}, "egress": {"stray"}}
	l.want("opened", b, d0.Index, strays)
	if err := b.SetDevices([]Device{{Index: 9999, Name: "missing"}}); err == nil {
		t.Error("a device that is missing gave no error")
	}
	l.want("failed", b, d0.Index, strays)
	l.set(b, d0)
	l.want("set", b, d0.Index, both())
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old version's: %v", err)
	}
}

// What somebody has removed or unmounted is pinned and attached again, and is the same.
func TestRepin(t *testing.T) {
	l := newLab(t, 1)
	b := l.open()
	d0 := l.port("d0", 1)
	l.set(b, d0)
	put(t, b, udp(true, 1), plainFlow{Id: 1})
	pins := func() []string {
		all, err := filepath.Glob(b.path("*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before, h := pins(), hooks()[0]
	for _, tt := range []struct {
		what string
		act  func() error
	}{
		{"nothing", func() error { return nil }},
		{"a program", func() error { return os.Remove(b.path(plainProgIngress)) }},
		{"a map", func() error { return os.Remove(b.path(plainMapFlows4)) }},
		{"a link", func() error { return os.Remove(b.path(h.linkName(d0.Index))) }},
		{"all", func() error { return os.RemoveAll(versions(l.pin)) }},
		{"mount", func() error { return unix.Unmount(l.pin, unix.MNT_DETACH) }},
	} {
		if err := tt.act(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		for _, want := range []bool{tt.what != "nothing", false} {
			if repaired, err := b.Repin(); err != nil || repaired != want {
				t.Errorf("%s: repaired %v, %v", tt.what, repaired, err)
			}
		}
		if after := pins(); !slices.Equal(before, after) {
			t.Errorf("%s: %q is pinned, want %q", tt.what, after, before)
		}
		l.want(tt.what, b, d0.Index, both())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	l.want("adopted", b, d0.Index, both())
	if _, err := b.Get(udp(true, 1)); err != nil {
		t.Errorf("the maps are others: %v", err)
	}
}

// ids returns those of everything that is open.
func ids(t *testing.T, b *Bypass) (programs []ebpf.ProgramID, tables []ebpf.MapID) {
	t.Helper()
	for _, p := range b.programs {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		programs = append(programs, id)
	}
	for _, m := range append(slices.Collect(maps.Values(b.maps)), b.grace.outer, b.grace.inner) {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		tables = append(tables, id)
	}
	return programs, tables
}

// Nothing is left afterwards: no link, program, map or directory, of whatever version, pinned or not.
func TestRemove(t *testing.T) {
	l := newLab(t, 2)
	b := l.open()
	l.set(b, l.port("d0", 1), l.nic("d1"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.dir(), filepath.Join(versions(l.pin), "v0")); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	l.set(b, l.port("d0", 1))
	held, _, err := b.pinnedLink(hooks()[0], l.index("d0"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := os.Remove(b.path(hooks()[0].linkName(l.index("d0")))); err != nil { // a stray
		t.Fatal(err)
	}
	programs, tables := ids(t, b)
	for range 2 {
		if err := errors.Join(b.Close(), Remove(l.pin, l.ns)); err != nil {
			t.Fatal(err)
		}
	}
	held.Close()
	for _, d := range []string{"d0", "d1"} {
		l.want("removed", nil, l.index(d), map[string][]string{})
	}
	if _, err := os.Stat(versions(l.pin)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
	eventually(t, "nothing is left", func() []string { // the kernel frees after a grace period
		var left []string
		for _, id := range programs {
			if p, err := ebpf.NewProgramFromID(id); err == nil {
				left = append(left, p.String())
				p.Close()
			}
		}
		for _, id := range tables {
			if exists(id) {
				left = append(left, fmt.Sprintf("map %d", id))
			}
		}
		return left
	})
}

// exists reports whether there is a map with that ID. It is not opened: when an array of programs is closed while the
// kernel has yet to clear it because it was closed before, it is never freed, as of Linux 6.18 (prog_array_map_clear in
// kernel/bpf/arraymap.c takes a reference each time, and gives back one).
func exists(id ebpf.MapID) bool {
	next, err := ebpf.MapGetNextID(id - 1)
	return err == nil && next == id
}
