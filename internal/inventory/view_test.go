// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// stuck returns an inventory whose looks at a namespace do not end before release is called. Whoever
// waits for one does so until then, and so the test does not end.
func stuck(t *testing.T, cfg Config, inode func() uint32) (v *Inventory, c *testClock, begun <-chan struct{}, release func()) {
	t.Helper()
	v, c = newInventory(t, cfg)
	v.cfg.MaxWait = 24 * time.Hour
	begin, end := make(chan struct{}, 1), make(chan struct{})
	v.lookAt = func(s *space) {
		if s.inode == inode() {
			select {
			case begin <- struct{}{}:
			default:
			}
			<-end
		}
		v.look(s)
	}
	released := false
	release = func() {
		if !released {
			released = true
			close(end)
		}
	}
	t.Cleanup(release) // before the inventory is closed
	return v, c, begin, release
}

// named waits until Named says so.
func named(t *testing.T, n *View, inode, ifindex uint32, seen time.Time) {
	t.Helper()
	eventually(t, fmt.Sprintf("device %d in %d is named", ifindex, inode), func() bool {
		n.Forget()
		return n.Named(inode, ifindex, seen)
	})
}

// A look that is stuck keeps no answer waiting, and no look at another namespace.
func TestViewDoesNotWait(t *testing.T) {
	var bad uint32
	v, c, begun, release := stuck(t, Config{}, func() uint32 { return bad })
	n := v.View()
	ns, other := create(t, "stuck"), create(t, "other")
	bad = ns.Inode()
	index, index2 := addBridge(t, ns, "br-stuck"), addBridge(t, other, "br-other")
	seen := c.now()
	for range 3 { // none of these returns before release if it waits
		if n.Named(bad, index, seen) {
			t.Fatal("what nobody has looked at is named")
		}
		if d := n.Device(bad, index); d.Name != fmt.Sprint("if", index) {
			t.Errorf("what nobody has looked at is %+v", d)
		}
		n.NetNS(bad)
	}
	<-begun
	if n.Named(other.Inode(), index2, seen) {
		t.Error("what nobody has looked at is named")
	}
	named(t, n, other.Inode(), index2, seen)
	if d := n.Device(other.Inode(), index2); d.Name != "br-other" || d.NetNS.Name != other.Name() {
		t.Errorf("%+v in %+v", d, d.NetNS)
	}
	n.Forget()
	if n.Named(bad, index, seen) {
		t.Error("it is named before the look has ended")
	}
	release()
	named(t, n, bad, index, seen)
	if d := n.Device(bad, index); d.Name != "br-stuck" || d.NetNS.Name != ns.Name() {
		t.Errorf("%+v in %+v", d, d.NetNS)
	}
}

// What changes is named again, but for packets that were seen before: a device that is renamed or
// made, a namespace that is removed, and one that has its number.
func TestViewUnderChange(t *testing.T) {
	v, c := newInventory(t, Config{})
	n := v.View()
	ns := create(t, "first")
	inode, index := ns.Inode(), addBridge(t, ns, "before")
	named(t, n, inode, index, c.now())
	expect := func(device, space string) {
		t.Helper()
		if d := n.Device(inode, index); d.Name != device || d.NetNS.Name != space {
			t.Errorf("%+v in %+v, want %s in %s", d, d.NetNS, device, space)
		}
	}
	expect("before", ns.Name())
	n.Forget()
	if !n.Named(inode, index, c.now()) {
		t.Error("what has just been looked at is not named")
	}

	rename(t, ns, "before", "after")
	c.advance(v.cfg.MaxAge)
	n.Forget()
	if n.Named(inode, index, c.now()) {
		t.Error("what is old is named")
	}
	named(t, n, inode, index, c.now())
	expect("after", ns.Name())

	made := addBridge(t, ns, "made")
	n.Forget()
	if n.Named(inode, made, c.now()) {
		t.Error("a device that nobody has seen is named")
	}
	c.advance(v.cfg.MinInterval) // it rests no longer
	named(t, n, inode, made, c.now().Add(-1))
	if d := n.Device(inode, made); d.Name != "made" {
		t.Errorf("the new device is %+v", d)
	}

	late := remount(t, ns, "late")
	c.advance(v.cfg.MaxAge)
	n.Forget()
	if n.Named(inode, index, c.now()) {
		t.Error("a namespace that is not where it was is named")
	}
	named(t, n, inode, index, c.now().Add(-1))
	expect("after", late)

	ns.Close()
	if err := netns.Delete(late); err != nil {
		t.Fatal(err)
	}
	c.advance(v.cfg.MinInterval)
	named(t, n, inode, index, c.now().Add(-1)) // there is nothing to be found out any more
	expect("after", late)
}

// A device that is not there is named once somebody has looked: a ping does not wait for what never comes.
func TestWhatIsNotThereIsNamed(t *testing.T) {
	v, c := newInventory(t, Config{})
	n := v.View()
	ns := create(t, "empty")
	seen := c.now()
	if c.advance(1); n.Named(ns.Inode(), 99, seen) {
		t.Fatal("what nobody has looked at is named")
	}
	named(t, n, ns.Inode(), 99, seen)
	if d := n.Device(ns.Inode(), 99); d.Name != "if99" || d.NetNS.Name != ns.Name() {
		t.Errorf("%+v in %+v", d, d.NetNS)
	}
	n.Forget()
	if n.Named(ns.Inode(), 99, c.now().Add(1)) {
		t.Error("it is named for a packet that was seen after the look")
	}
}

// Without a look to be had, a namespace is called by its name nevertheless, and nobody has asked for
// longer than it takes to read names.
func TestViewWithoutALook(t *testing.T) {
	v, c := newInventory(t, Config{})
	n := v.View()
	ns := create(t, "early")
	inode, index := ns.Inode(), addBridge(t, ns, "old")
	named(t, n, inode, index, c.now().Add(-1))
	limit(v, 0, 1e-9)
	c.advance(v.cfg.MaxAge)
	late := remount(t, ns, "late")
	eventually(t, "it is called by its new name", func() bool {
		c.advance(v.cfg.MinInterval)
		n.Forget()
		n.Named(inode, index, c.now())
		return n.NetNS(inode).Name == late
	})
	n.Forget()
	if n.Named(inode, index, c.now()) {
		t.Error("its device is named, and nobody has looked")
	}
	if v.Settled() {
		t.Error("nothing is to be looked at, and a namespace waits for that")
	}
	limit(v, 10, 10)
	named(t, n, inode, index, c.now())
	eventually(t, "nothing is to be looked at", v.Settled)
}

// When the inventory is closed, no name is to come any more.
func TestViewOfAClosedInventory(t *testing.T) {
	v, c := newInventory(t, Config{})
	n := v.View()
	ns := create(t, "closed")
	v.Close()
	if !n.Named(ns.Inode(), 1, c.now()) {
		t.Error("a name is to come, and nobody looks any more")
	}
	if got := n.NetNS(ns.Inode()); got.Inode != ns.Inode() {
		t.Errorf("%+v", got)
	}
}

// Whoever waits for names hears of each look, and of its being the last.
func TestLooksAreTold(t *testing.T) {
	told := make(chan struct{}, 1)
	v, c := newInventory(t, Config{Looked: func() {
		select {
		case told <- struct{}{}:
		default:
		}
	}})
	n := v.View()
	for i := range 20 {
		ns := create(t, fmt.Sprint("told", i))
		for !n.Named(ns.Inode(), 1, c.now().Add(-1)) || !v.Settled() {
			select {
			case <-told:
			case <-time.After(time.Minute):
				t.Fatal("nobody was told of a look")
			}
		}
		n.Forget()
	}
}

// A port that the kernel has told of is not named before somebody has looked, so that its packets are
// not nobody's for want of a look.
func TestViewOfATouchedPort(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	hyp := w.hyp
	w.v.SetTenants(redAndBlue(t))
	w.later()
	index := addBridge(t, hyp, "br-touched")
	n := w.v.View()
	named(t, n, hyp.Inode(), index, w.clock.now())
	inside(t, hyp, func(nl *netlink.Handle) error {
		link, err := nl.LinkByIndex(int(index))
		if err != nil {
			return err
		}
		return nl.LinkSetName(link, "br-renamed")
	})
	w.v.Notice()
	w.soon()
	n.Forget()
	if n.Named(hyp.Inode(), index, w.clock.now()) {
		t.Fatal("it is named, and it was renamed")
	}
	before := w.v.doubtful.Load()
	for range 2 {
		if d := n.Device(hyp.Inode(), index); !d.Unattributed && before < w.v.doubtful.Load() {
			t.Errorf("%+v is certain", d)
		}
	}
	if got := w.v.doubtful.Load() - before; got != 0 && got != 2 { // the look may be over
		t.Errorf("%d answers were doubtful, want 2", got)
	}
	n.Forget()
	named(t, n, hyp.Inode(), index, w.clock.now())
	if d := n.Device(hyp.Inode(), index); d.Name != "br-renamed" {
		t.Errorf("%+v", d)
	}
}

// How long the one who asks about a namespace that is new is kept from other work, if it waits for
// the answer and if it asks a view, and looks take long.
func BenchmarkNewNamespace(b *testing.B) {
	for _, waits := range []bool{true, false} {
		b.Run(map[bool]string{true: "waits", false: "view"}[waits], func(b *testing.B) {
			privilegetest.NetNS(b)
			v, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer v.Close()
			end := make(chan struct{})
			defer close(end)
			v.lookAt = func(*space) { <-end }
			n := v.View()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				ns := netnstest.New(b, fmt.Sprint("inv-bench", i))
				b.StartTimer()
				begin := time.Now()
				if waits {
					v.Device(ns.Inode(), 1)
				} else {
					n.Named(ns.Inode(), 1, begin)
					n.Device(ns.Inode(), 1)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs/max")
		})
	}
}
