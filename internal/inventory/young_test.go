// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// A namespace gets its devices after its name. They are known even if nobody asked about
// them while they were there, and so are their other ends.
func TestDevicesOfAShortLivedNamespace(t *testing.T) {
	v, c := newInventory(t, Config{})
	hub := create(t, "hub")
	v.NetNS(hub.Inode())
	c.advance(v.cfg.MinInterval)
	ns := create(t, "short")
	v.Refresh(Names)
	v.LookAtNew()
	there, here := pairOf(t, hub, "port", ns, "eth0")
	c.advance(v.cfg.MinInterval)
	v.LookAtNew()
	inside(t, hub, func(nl *netlink.Handle) error {
		return nl.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(there.Index)}})
	})
	c.advance(time.Second)
	expectDevice(t, v, here, "eth0", "veth", there)
	expectDevice(t, v, there, "port", "veth", here)
	if n := v.Stats().Unknown; n != 0 {
		t.Errorf("%d unknown", n)
	}
}

// However often a new namespace is asked about, it costs only a few scans.
func TestNewNamespacesAreScannedAFewTimes(t *testing.T) {
	v, c := newInventory(t, Config{})
	s := v.space(create(t, "young").Inode())
	v.Refresh(Names)
	looks := map[time.Time]bool{} // those of others that are made meanwhile do not count
	for range 10_000 {
		v.LookAtNew()
		looks[s.snapshot.Load().looked] = true
		c.advance(time.Millisecond)
	}
	if n := len(looks); n < 4 || n > 9 {
		t.Errorf("%d scans in 10 s, want 7 or so", n)
	}
}
