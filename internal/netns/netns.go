// SPDX-License-Identifier: Apache-2.0

// Package netns makes, finds and enters network namespaces.
//
// A namespace is a property of an operating system thread, which Go hides. Code
// that switches a thread and forgets to switch it back, or is moved to another
// thread in between, works on the wrong network without an error. Here the
// thread never escapes: [NS.Do] is the only way in, and a thread that cannot be
// switched back is thrown away.
//
// Names are those of iproute2: a file in /run/netns on which the namespace is
// mounted, so that ip-netns(8) sees what this package makes and the other way
// round.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where named namespaces are mounted.
const Dir = "/run/netns"

// NS is an open network namespace. It keeps the namespace alive until Close.
type NS struct {
	file  *os.File
	name  string
	inode uint32
}

// Current opens the namespace of the calling thread.
func Current() (*NS, error) { return openPath("/proc/thread-self/ns/net", "") }

// Name returns the name in /run/netns under which the namespace was opened, or
// the path if it was not opened by name.
func (ns *NS) Name() string { return ns.name }

// Inode returns the number that identifies the namespace on this host while it
// lives. The kernel reuses the numbers of namespaces that are gone.
func (ns *NS) Inode() uint32 { return ns.inode }

// FD returns the file descriptor. It is valid until Close.
func (ns *NS) FD() int { return int(ns.file.Fd()) }

// Close releases the namespace.
func (ns *NS) Close() error { return ns.file.Close() }

// Do runs fn in the namespace, on an operating system thread of its own. Sockets
// that fn opens stay in the namespace; goroutines that it starts do not.
//
// The error is fn's, or says why the namespace could not be entered. If fn ends
// its goroutine (as testing.T.FailNow does), Do returns an error. It needs
// CAP_SYS_ADMIN.
func (ns *NS) Do(fn func() error) error {
	return onThread(func() error {
		if err := vns.Set(vns.NsHandle(ns.FD())); err != nil {
			return explain("entering", ns.name, err)
		}
		return fn()
	})
}

// In runs fn in the namespace as [NS.Do] does, or where it is called if ns is nil, which is the process's.
func In(ns *NS, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return ns.Do(fn)
}

// Netlink opens a netlink handle in the namespace, of the given families or, if
// there are none, NETLINK_ROUTE. The caller closes it. While it is open it keeps
// the namespace alive.
func (ns *NS) Netlink(families ...int) (*netlink.Handle, error) {
	if len(families) == 0 {
		families = []int{unix.NETLINK_ROUTE}
	}
	var h *netlink.Handle
	err := ns.Do(func() (err error) {
		h, err = netlink.NewHandle(families...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening netlink in network namespace %s: %w", ns.name, err)
	}
	return h, nil
}

// onThread runs fn, which may switch namespaces, on a thread that nothing else
// runs on meanwhile and that is in the process's namespace afterwards. A thread
// that cannot be switched back stays locked, and so ends with its goroutine.
func onThread(fn func() error) error {
	err := errors.New("the function run in the network namespace did not return")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// /proc/PID/ns/net shows the main thread's namespace: leave it alone.
			defer runtime.UnlockOSThread()
			err = onThread(fn)
			return
		}
		home, herr := vns.Get()
		if herr != nil {
			runtime.UnlockOSThread()
			err = fmt.Errorf("opening this thread's network namespace (is /proc mounted?): %w", herr)
			return
		}
		defer home.Close()
		defer func() {
			if vns.Set(home) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = fn()
	}()
	<-done
	return err
}

// explain says what was being done to which namespace and, if it was not
// permitted, what is missing.
func explain(doing, name string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s network namespace %s needs root (CAP_SYS_ADMIN): try sudo: %w", doing, name, err)
	}
	return fmt.Errorf("%s network namespace %s: %w", doing, name, err)
}

func mountPoint(name string) string { return filepath.Join(Dir, name) }
