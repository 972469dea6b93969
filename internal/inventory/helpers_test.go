// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/netns/netnstest"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testClock is a clock that only the test moves.
type testClock struct{ ns atomic.Int64 }

func (c *testClock) now() time.Time          { return time.Unix(1e9, c.ns.Load()) }
func (c *testClock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// newInventory returns an inventory with a clock of its own and a long timeout, so
// that a test does not depend on the speed of the machine.
func newInventory(t *testing.T, cfg Config) (*Inventory, *testClock) {
	t.Helper()
	privilegetest.NetNS(t)
	c := &testClock{}
	cfg.Now = c.now
	cfg.MaxWait = time.Minute
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	c.advance(v.cfg.MinInterval)
	return v, c
}

func create(t testing.TB, suffix string) *netns.NS {
	t.Helper()
	return netnstest.New(t, "inv-"+suffix)
}

// inside calls f with a netlink handle in the namespace.
func inside(t testing.TB, ns *netns.NS, f func(*netlink.Handle) error) {
	t.Helper()
	nl, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := f(nl); err != nil {
		t.Fatal(err)
	}
}

// addBridge makes a bridge and returns its index.
func addBridge(t *testing.T, ns *netns.NS, name string) (index uint32) {
	t.Helper()
	inside(t, ns, func(nl *netlink.Handle) error {
		link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
		err := nl.LinkAdd(link)
		index = uint32(link.Index)
		return err
	})
	return index
}

func rename(t *testing.T, ns *netns.NS, from, to string) {
	t.Helper()
	inside(t, ns, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(from)
		if err != nil {
			return err
		}
		return nl.LinkSetName(link, to)
	})
}

// remount gives the namespace another name in place of its own.
func remount(t *testing.T, ns *netns.NS, suffix string) string {
	t.Helper()
	name := create(t, suffix).Name() // makes the file, and removes it after the test
	bind(t, ns, name)
	if err := netns.Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
	return name
}

// bind makes the name, which another namespace has, the name of this one.
func bind(t *testing.T, ns *netns.NS, name string) {
	t.Helper()
	path := netns.Dir + "/" + name
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.FD()), path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// watchDeletion calls f and waits until the device in ns is gone.
func watchDeletion(t *testing.T, ns *netns.NS, device string, f func()) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	if err := ns.Do(func() error { return netlink.LinkSubscribe(updates, done) }); err != nil {
		t.Fatal(err)
	}
	f()
	timeout := time.After(30 * time.Second)
	for gone := false; !gone; {
		select {
		case u := <-updates:
			gone = u.Header.Type == syscall.RTM_DELLINK && u.Attrs().Name == device
		case <-timeout:
			t.Errorf("%s is still there", device)
			gone = true
		}
	}
	close(done)
	for range updates { // until the subscription has ended
	}
}
