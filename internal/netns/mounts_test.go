// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"testing"
	"time"

	"github.com/dwelltrace/dwell/internal/netns"
)

func TestMountsTellOfNamesThatComeAndGo(t *testing.T) {
	needRoot(t)
	create(t, "prepares") // the directory, so that what follows is one mount each
	m, err := netns.WatchMounts()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ns := create(t, "mounts")
	awaitMounts(t, m, func() bool { inode, _ := netns.Inode(ns.Name()); return inode == ns.Inode() })
	if err := netns.Delete(ns.Name()); err != nil {
		t.Fatal(err)
	}
	awaitMounts(t, m, func() bool { return netns.MountedInode(netns.Dir+"/"+ns.Name()) == 0 })
}

// awaitMounts waits until m has told of a change after which is is true. Others mount
// things, too.
func awaitMounts(t *testing.T, m *netns.Mounts, is func() bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case <-m.Changed():
			if is() {
				return
			}
		case <-timeout:
			t.Fatal("no news of it")
		}
	}
}

func TestMountsEnd(t *testing.T) {
	m, err := netns.WatchMounts()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, open := <-m.Changed(); open {
		t.Error("a change after Close")
	}
}
