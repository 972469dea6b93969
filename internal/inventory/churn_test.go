// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
)

// limit gives an inventory a budget of looks, saved up, and so many a second. How long they take
// does not matter: it depends on the machine.
func limit(v *Inventory, saved, rate float64) {
	b := v.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share, b.saved, b.time = 1, time.Hour, time.Hour
	b.rate, b.burst, b.looks, b.at = rate, saved, saved, v.cfg.Now()
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// Hundreds of namespaces, many of which keep being removed and made again, are looked at no
// more often than the budget allows. All have their names at once, and in the end their devices.
func TestChurnOfManyNamespaces(t *testing.T) {
	const many, churn, rounds = 240, 60, 5
	const saved, rate = 50, 20
	v, c := newInventory(t, Config{})
	all := make([]*netns.NS, many)
	for i := range all {
		all[i] = create(t, fmt.Sprint("churn", i))
	}
	limit(v, saved, rate)
	begin, before := c.now(), v.Stats()
	bounded := func() {
		t.Helper()
		looks := v.Stats().Looks - before.Looks
		if most := saved + rate*c.now().Sub(begin).Seconds(); float64(looks) > most+1e-6 {
			t.Fatalf("%d looks after %v, want %v at most", looks, c.now().Sub(begin), most)
		}
	}
	for round := range rounds {
		for i := range churn {
			at := (round*churn + i) % many
			if err := netns.Delete(all[at].Name()); err != nil {
				t.Fatal(err)
			}
			all[at].Close()
			all[at] = create(t, fmt.Sprintf("churn%d-%d", at, round))
		}
		c.advance(v.cfg.MinInterval)
		for _, ns := range all {
			// The clock goes on, so that names may be read again: a reader of names rests for
			// a multiple of how long that took.
			if got := v.NetNS(ns.Inode()).Name; got != ns.Name() {
				c.advance(v.cfg.MinInterval)
				if got = v.NetNS(ns.Inode()).Name; got != ns.Name() {
					t.Fatalf("round %d: %s is called %s", round, ns.Name(), got)
				}
			}
			v.Device(ns.Inode(), 1)
			bounded()
		}
	}
	s := v.Stats()
	if s.Waiting == 0 || s.Waiting > many+rounds*churn || s.WaitingFor <= 0 {
		t.Errorf("%d wait, for %v", s.Waiting, s.WaitingFor)
	}
	eventually(t, "nobody waits", func() bool {
		c.advance(time.Second / rate)
		bounded()
		return v.Stats().Waiting == 0
	})
	if s := v.Stats(); s.WaitingFor != 0 {
		t.Errorf("nobody waits, for %v", s.WaitingFor)
	}
	eventually(t, "all devices are known", func() bool {
		c.advance(time.Second / rate)
		bounded()
		for _, ns := range all {
			if d := v.Device(ns.Inode(), 1); d.Name != "lo" || d.NetNS.Name != ns.Name() {
				return false
			}
		}
		return true
	})
}

// A namespace that has the number of another is not called by that one's name, nor are its
// devices, even if it cannot be looked at.
func TestReusedNumberWithoutALook(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "early")
	inode, index := ns.Inode(), addBridge(t, ns, "old")
	if d := v.Device(inode, index); d.Name != "old" || d.NetNS.Name != ns.Name() {
		t.Fatalf("the first owner: %+v in %+v", d, d.NetNS)
	}
	limit(v, 0, 1e-9)
	c.advance(v.cfg.MinInterval)
	late := remount(t, ns, "late")
	c.advance(v.cfg.MinInterval)
	if got := v.NetNS(inode).Name; got != late {
		t.Errorf("it is called %s, want %s", got, late)
	}
	if d := v.Device(inode, index); d.Name != fmt.Sprint("if", index) || d.NetNS.Name != late {
		t.Errorf("its device is %+v in %+v, want one without a name", d, d.NetNS)
	}
	v.waiting.remove(v.space(inode)) // as if there had been no room for it
	c.advance(v.cfg.MinInterval)
	v.NetNS(inode)
	if s := v.Stats(); s.Waiting != 1 {
		t.Errorf("%d wait, want one", s.Waiting)
	}
	limit(v, 10, 10)
	eventually(t, "its device is known", func() bool {
		c.advance(v.cfg.MinInterval)
		return v.Device(inode, index).Name == "old"
	})
}

// Nor is one that has number and name of another, which are both given again soon.
func TestReusedNumberAndNameWithoutALook(t *testing.T) {
	v, c := newInventory(t, Config{})
	name := create(t, "again").Name()
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	var inode, index uint32
	// Whichever number is given twice will do.
	seen := map[uint32]bool{}
	eventually(t, "a number that is given again", func() bool {
		ns, err := netns.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		if inode = ns.Inode(); seen[inode] {
			return true
		}
		seen[inode] = true
		index = addBridge(t, ns, "old")
		c.advance(v.cfg.MinInterval)
		if d := v.Device(inode, index); d.Name != "old" {
			t.Fatalf("the bridge is %+v", d)
		}
		if err := netns.Delete(name); err != nil {
			t.Fatal(err)
		}
		return false
	})
	limit(v, 0, 1e-9)
	c.advance(v.cfg.MinInterval)
	if d := v.Device(inode, index); d.Name == "old" || d.NetNS.Name != name {
		t.Errorf("the device that another namespace had: %+v in %+v", d, d.NetNS)
	}
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
}

// What is known and was not changed is told for as long as it cannot be looked at again.
func TestOldAnswersWithoutALook(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "known")
	index := addBridge(t, ns, "before")
	want := v.Device(ns.Inode(), index)
	limit(v, 0, 1e-9)
	rename(t, ns, "before", "after")
	create(t, "other")
	c.advance(time.Hour)
	if got := v.Device(ns.Inode(), index); got != want {
		t.Errorf("%+v, want what was known: %+v", got, want)
	}
	if s := v.Stats(); s.Postponed == 0 || s.Waiting != 0 {
		t.Errorf("%d postponed, %d wait", s.Postponed, s.Waiting)
	}
}

// Whoever waits does not keep an inventory from being closed.
func TestCloseWhileSomeWait(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "wait")
	inside(t, ns, func(*netlink.Handle) error { return nil })
	limit(v, 0, 1e-9)
	c.advance(v.cfg.MinInterval)
	v.Device(ns.Inode(), 1)
	if s := v.Stats(); s.Waiting != 1 {
		t.Errorf("%d wait, want one", s.Waiting)
	}
	v.Close()
}

// A namespace of a tenant that is not where it was may be another one. It is too early to read
// names again and to look: no tenant sees it.
func TestTenantsNamespaceWithoutALook(t *testing.T) {
	w := newWorld(t, Config{MinInterval: 10 * time.Second, MaxAge: time.Hour})
	red, other := create(t, "g-red"), create(t, "other")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	expectSpace(t, w.v, red.Inode(), "red")
	bind(t, other, red.Name())
	w.clock.advance(checkInterval)
	expectSpace(t, w.v, red.Inode(), "private")
}
