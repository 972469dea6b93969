// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func needRoot(t *testing.T) {
	t.Helper()
	privilegetest.NetNS(t)
}

func create(t *testing.T, suffix string) *netns.NS {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("dwt%d-%s", os.Getpid(), suffix)
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return ns
}

func hostInode(t *testing.T) uint32 {
	t.Helper()
	inode := netns.MountedInode("/proc/thread-self/ns/net")
	if inode == 0 {
		t.Fatal("no namespace at /proc/thread-self/ns/net")
	}
	return inode
}

func TestCreateIsSeenByIPNetns(t *testing.T) {
	ns := create(t, "seen")
	out, err := exec.Command("ip", "netns", "list").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !slices.Contains(strings.Fields(string(out)), ns.Name()) {
		t.Errorf("ip netns list does not show %s:\n%s", ns.Name(), out)
	}
	out, err = exec.Command("ip", "netns", "del", ns.Name()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := os.Stat("/run/netns/" + ns.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ip netns del left %s: %v", ns.Name(), err)
	}
}

func TestCreateTwice(t *testing.T) {
	ns := create(t, "twice")
	if _, err := netns.Create(ns.Name()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want fs.ErrExist", err)
	}
	if got, err := netns.Inode(ns.Name()); err != nil || got != ns.Inode() {
		t.Errorf("after the failed Create: inode %d, %v, want %d", got, err, ns.Inode())
	}
}

func TestOpenTakesNamePathAndPID(t *testing.T) {
	ns := create(t, "refs")
	sleep := exec.Command("sleep", "60")
	if err := ns.Do(sleep.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	pid := strconv.Itoa(sleep.Process.Pid)
	for _, ref := range []string{ns.Name(), "/run/netns/" + ns.Name(), pid, "/proc/" + pid + "/ns/net"} {
		if got, err := netns.Inode(ref); err != nil || got != ns.Inode() {
			t.Errorf("Inode(%q) = %d, %v, want %d", ref, got, err, ns.Inode())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	ns := create(t, "errors")
	stale := "/run/netns/" + ns.Name() + "-stale"
	if err := os.WriteFile(stale, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(stale) })
	for _, tc := range []struct{ ref, want string }{
		{"no-such", `no network namespace "no-such"; ip netns list shows: `},
		{"no-such", ns.Name()},
		{"2147483647", "no process 2147483647 and no network namespace"},
		{"/no/such", "no such file"},
		{"/proc/self/ns/mnt", "not a network namespace"},
		{"/etc/hostname", "not a network namespace"},
		{ns.Name() + "-stale", "nothing is mounted there"},
		{"", "cannot be the name"},
		{"..", "cannot be the name"},
		{strings.Repeat("x", 300), "cannot be the name"},
	} {
		if _, err := netns.Open(tc.ref); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Open(%q): %v, want %q in it", tc.ref, err, tc.want)
		}
	}
	if _, err := netns.Open("no-such"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an unknown name: %v, want fs.ErrNotExist", err)
	}
}

func TestListShowsStaleFiles(t *testing.T) {
	ns := create(t, "list")
	stale := ns.Name() + "-stale"
	if err := os.WriteFile("/run/netns/"+stale, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	entries, err := netns.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []netns.Entry{{Name: ns.Name(), Inode: ns.Inode()}, {Name: stale}} {
		if !slices.Contains(entries, want) {
			t.Errorf("List() = %v lacks %v", entries, want)
		}
	}
	if err := netns.Delete(stale); err != nil {
		t.Errorf("Delete of a file without a mount: %v", err)
	}
	if err := netns.Delete(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second Delete: %v, want fs.ErrNotExist", err)
	}
}

func TestDoSwitchesAndSwitchesBack(t *testing.T) {
	ns := create(t, "do")
	host := hostInode(t)
	var inside uint32
	var links []net.Interface
	err := ns.Do(func() (err error) {
		inside = hostInode(t)
		links, err = net.Interfaces()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside != ns.Inode() || len(links) != 1 || links[0].Name != "lo" {
		t.Errorf("in the namespace: inode %d, links %v; want %d and lo only", inside, links, ns.Inode())
	}
	if got := hostInode(t); got != host {
		t.Errorf("afterwards the caller is in %d, want %d", got, host)
	}
	want := errors.New("mine")
	if err := ns.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("Do = %v, want the function's error as it is", err)
	}
}

func TestDoOfFunctionThatExits(t *testing.T) {
	ns := create(t, "exits")
	if err := ns.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Do = nil for a function that ended its goroutine")
	}
}

// Every thread of the process must be in the host's namespace after a storm of
// switches, and no thread may have been lost to it.
func TestDoInParallelLeavesNoThreadBehind(t *testing.T) {
	a, b := create(t, "par-a"), create(t, "par-b")
	host := hostInode(t)
	var wg sync.WaitGroup
	for i := range 16 {
		ns := []*netns.NS{a, b}[i%2]
		wg.Go(func() {
			for range 50 {
				err := ns.Do(func() error {
					runtime.Gosched()
					if got := hostInode(t); got != ns.Inode() {
						return fmt.Errorf("in %d, want %d", got, ns.Inode())
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if got := netns.MountedInode("/proc/self/ns/net"); got != host {
					t.Errorf("the main thread is in %d, want %d", got, host)
				}
			}
		})
	}
	wg.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if got := netns.MountedInode("/proc/self/task/" + task.Name() + "/ns/net"); got != host && got != 0 {
			t.Errorf("thread %s is in %d, want %d", task.Name(), got, host)
		}
	}
}

func TestNetlinkSeesTheNamespace(t *testing.T) {
	ns := create(t, "nl")
	h, err := ns.Netlink()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if len(links) != 1 || links[0].Attrs().Name != "lo" {
		t.Errorf("links %v, want lo only", links)
	}
}

// The unprivileged half runs in a child process that gives its rights away.
func TestWithoutRoot(t *testing.T) {
	if os.Getenv("DWELL_TEST_UNPRIVILEGED") != "" {
		_, err := netns.Create("dwt-unprivileged")
		fmt.Println("create:", err)
		ns, err := netns.Current()
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		fmt.Println("do:", ns.Do(func() error { return nil }))
		return
	}
	needRoot(t)
	create(t, "dir") // so that the directory is there
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Open(exe) // the child may not reach the path
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestWithoutRoot$", "-test.v")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), "DWELL_TEST_UNPRIVILEGED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{
		"create: creating network namespace dwt-unprivileged needs root (CAP_SYS_ADMIN): try sudo",
		"do: entering network namespace /proc/thread-self/ns/net needs root (CAP_SYS_ADMIN): try sudo",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}
