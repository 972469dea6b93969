// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"os"
	"strings"
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

// The kernel tells each open file of a change once, to the first that polls it. If the Go
// runtime polls the file as well, it may be the first, and nobody else hears of the change:
// that is a race, so this looks for its cause.
func TestOnlyMountsPollsItsFile(t *testing.T) {
	m, err := netns.WatchMounts()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	watched := descriptors(t, func(target string) bool { return strings.HasSuffix(target, "/mountinfo") })
	if len(watched) != 1 {
		t.Fatalf("%d descriptors of mountinfo, want 1", len(watched))
	}
	for _, poller := range descriptors(t, func(target string) bool { return target == "anon_inode:[eventpoll]" }) {
		info, err := os.ReadFile("/proc/self/fdinfo/" + poller)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" && f[1] == watched[0] {
				t.Errorf("epoll descriptor %s polls mountinfo, too: %s", poller, line)
			}
		}
	}
}

// descriptors returns the process's open ones whose link's target satisfies is.
func descriptors(t *testing.T, is func(target string) bool) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && is(target) {
			found = append(found, e.Name())
		}
	}
	return found
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
