// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// A port that is renamed is nobody's from then on, and its new owner's only when packets that
// it carried before have had their traces.
func TestRenamedPort(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"red-1", "blue-1", "blue"},
		{"nic-1", "red-1", "red"},
		{"red-1", "nic-1", nobody},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			w := newWorld(t, Config{MinInterval: time.Microsecond})
			at := w.device(test.from, &netlink.Ifb{})
			w.v.SetTenants(redAndBlue(t))
			w.later()
			before := w.v.Device(at.NetNS, at.Index)
			if before.Unattributed || before.Name != test.from {
				t.Fatalf("before: %+v", before)
			}
			rename(t, w.hyp, test.from, test.to)
			w.soon()
			for range 3 {
				if d := expectOwner(t, w.v, at, unsure); d.Name != test.to {
					t.Errorf("after: %+v", d)
				}
				w.clock.advance(w.v.cfg.Settle / 4)
			}
			w.settle()
			if d := expectOwner(t, w.v, at, test.want); w.v.Device(at.NetNS, at.Index) != d {
				t.Error("another pointer though nothing changed")
			}
		})
	}
}

// While it is too early for another look, what has changed is nobody's; the rest is as it was.
func TestRenamedPortBeforeTheNextLook(t *testing.T) {
	w := newWorld(t, Config{MinInterval: 10 * time.Second, MaxAge: time.Hour})
	w.clock.advance(time.Hour)
	at, other := w.device("red-1", &netlink.Ifb{}), w.device("red-2", &netlink.Ifb{})
	w.v.SetTenants(redAndBlue(t))
	expectOwner(t, w.v, at, "red")
	rename(t, w.hyp, "red-1", "blue-1")
	w.clock.advance(checkInterval)
	d := expectOwner(t, w.v, at, unsure)
	if again := w.v.Device(at.NetNS, at.Index); again != d {
		t.Error("another pointer though nothing changed")
	}
	expectOwner(t, w.v, other, "red")
	if n := w.v.Tenants().Doubtful; n != 2 {
		t.Errorf("%d doubtful answers, want 2", n)
	}
	w.clock.advance(10 * time.Second)
	if d := expectOwner(t, w.v, at, unsure); d.Name != "blue-1" {
		t.Errorf("%+v", d)
	}
	w.settle()
	expectOwner(t, w.v, at, "blue")
}

// A namespace that is reached through a port is nobody's, too, while it is too early for another
// look at the port; one that is reached through another port is as it was.
func TestGuestOfARenamedPortBeforeTheNextLook(t *testing.T) {
	w := newWorld(t, Config{MinInterval: 10 * time.Second, MaxAge: time.Hour})
	w.clock.advance(time.Hour)
	guest, _, there := w.guest("guest", "red-1")
	other, _, _ := w.guest("other", "red-2")
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "red", Ports: []string{"red-*"}}))
	for _, ns := range []*netns.NS{w.hyp, guest, other} {
		w.v.NetNS(ns.Inode())
	}
	expectSpace(t, w.v, guest.Inode(), "red")
	expectSpace(t, w.v, other.Inode(), "red")
	rename(t, w.hyp, "red-1", "nic-1")
	w.clock.advance(checkInterval)
	expectSpace(t, w.v, guest.Inode(), "private")
	expectOwner(t, w.v, there, unsure)
	expectSpace(t, w.v, other.Inode(), "red")
	w.clock.advance(10 * time.Second)
	expectSpace(t, w.v, guest.Inode(), "private")
}

// So they are while a look takes its time that knows of the change.
func TestRenamedPortDuringALook(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond, MaxAge: time.Hour})
	w.clock.advance(time.Hour)
	guest, at, _ := w.guest("guest", "red-1")
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "red", Ports: []string{"red-*"}}))
	expectOwner(t, w.v, at, "red")
	expectSpace(t, w.v, guest.Inode(), "red")
	s := w.v.space(w.hyp.Inode())
	w.v.links.read(w.clock.now())
	s.mu.Lock()
	s.underway, s.deadline = make(chan struct{}), w.clock.now() // which nobody waits for any more
	s.mu.Unlock()
	rename(t, w.hyp, "red-1", "nic-1")
	w.soon()
	w.v.links.read(w.clock.now())
	s.touched.take()
	for range 3 {
		expectOwner(t, w.v, at, unsure)
		expectSpace(t, w.v, guest.Inode(), "private")
		w.clock.advance(w.v.cfg.Settle)
	}
	s.touched.done(false)
	s.mu.Lock()
	s.underway = nil
	s.mu.Unlock()
	if d := expectOwner(t, w.v, at, unsure); d.Name != "nic-1" {
		t.Errorf("%+v", d)
	}
}
