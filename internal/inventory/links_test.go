// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// The sockets for notifications keep no namespace alive that is gone.
func TestLinksLetGo(t *testing.T) {
	w := newWorld(t, Config{})
	w.v.SetTenants(redAndBlue(t))
	w.later()
	w.v.NetNS(w.hyp.Inode())
	if n := len(w.v.links.sockets); n != 1 {
		t.Fatalf("%d sockets", n)
	}
	if err := netns.Delete(w.hyp.Name()); err != nil {
		t.Fatal(err)
	}
	w.v.Refresh(Everywhere)
	if n := len(w.v.links.sockets); n != 0 {
		t.Errorf("%d sockets", n)
	}
	w.v.SetTenants(nil)
}

// A port that has another name for a moment is in doubt, and so is the guest behind it, though
// no look saw the other name.
func TestPortIsRenamedAndBack(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	guest, port, _ := w.guest("g", "red-1")
	w.v.SetTenants(redAndBlue(t))
	w.later()
	expectOwner(t, w.v, port, "red")
	expectSpace(t, w.v, guest.Inode(), "red")
	rename(t, w.hyp, "red-1", "blue-1")
	rename(t, w.hyp, "blue-1", "red-1")
	w.soon()
	expectOwner(t, w.v, port, unsure)
	expectSpace(t, w.v, guest.Inode(), "private")
	w.settle()
	expectOwner(t, w.v, port, "red")
	w.settle()
	expectSpace(t, w.v, guest.Inode(), "red")
}

// Where there can be no notifications, no port is sure.
func TestNoNotifications(t *testing.T) {
	w := newWorld(t, Config{})
	w.v.links.open = func() (int, error) { return -1, unix.EMFILE }
	at := w.device("red-1", &netlink.Ifb{})
	w.v.SetTenants(redAndBlue(t))
	w.later()
	expectOwner(t, w.v, at, unsure)
	w.v.links.open = linkSocketHere
	w.later()
	expectOwner(t, w.v, at, "red")
}

// A second record that gives the directory the same time is read as well.
func TestRecordsOfOneMoment(t *testing.T) {
	libvirt := t.TempDir()
	w := newWorld(t, Config{LibvirtDir: libvirt, MinInterval: time.Microsecond})
	one, two := addTap(t, w.hyp, "vnet0"), addTap(t, w.hyp, "vnet1")
	moment := time.Now().Add(time.Hour) // as if the clock stood still
	record := func(name, device string) {
		copyRecord(t, filepath.Join(libvirt, name), device)
		if err := os.Chtimes(libvirt, moment, moment); err != nil {
			t.Fatal(err)
		}
	}
	record("web-1.xml", "vnet0")
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "red", VMs: []string{"web-*"}}))
	w.later()
	expectOwner(t, w.v, one, "red")
	expectOwner(t, w.v, two, unsure)
	record("web-2.xml", "vnet1")
	w.later()
	expectOwner(t, w.v, two, "red")
}
