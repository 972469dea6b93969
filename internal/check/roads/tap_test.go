// SPDX-License-Identifier: Apache-2.0

package roads

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guestAddr and guestMAC are those of the virtual machine.
const guestAddr = "192.0.2.50"

func guestMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 0x50} }

// tap makes a tap device with some queues and returns their files.
func (w *world) tap(role, name string, flags uint16, queues int) []*os.File {
	var files []*os.File
	w.must(w.at(role).Do(func() error {
		for range queues {
			fd, err := openDevice("/dev/net/tun", unix.Mkdev(10, 200))
			if err != nil {
				return err
			}
			req, err := unix.NewIfreq(name)
			if err != nil {
				return err
			}
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
			if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
				return err
			}
			files = append(files, os.NewFile(uintptr(fd), name))
		}
		return nil
	}), "tap", name)
	return files
}

// openDevice opens a character device, which need not have a file yet: its module may not
// be loaded, and is when it is opened.
func openDevice(path string, number uint64) (fd int, err error) {
	const flags = unix.O_RDWR | unix.O_CLOEXEC | unix.O_NONBLOCK
	if fd, err = unix.Open(path, flags, 0); !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	dir, err := os.MkdirTemp("", "roads")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	path = filepath.Join(dir, filepath.Base(path))
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(number)); err != nil {
		return 0, err
	}
	return unix.Open(path, flags, 0)
}

// guestOn starts a guest on the files of its queues.
func (w *world) guestOn(queues ...*os.File) *guest {
	g := newGuest(host{mac: guestMAC(), addr: netip.MustParseAddr(guestAddr)}, queues[0])
	for _, q := range queues {
		w.goroutine(func() { g.serve(q) }, func() { q.Close() })
	}
	return g
}

// tapped makes a tap in hv, bridged to the uplink.
func (w *world) tapped(flags uint16, queues int) *guest {
	w.uplinked()
	files := w.tap("hv", "tap0", flags, queues)
	w.up("hv", "tap0")
	w.bridge("hv", "br0", "tap0", "up0")
	g := w.guestOn(files...)
	w.warm("out", guestAddr)
	_, err := g.resolve(w, netip.MustParseAddr("192.0.2.1"))
	w.must(err)
	return g
}

// macvtap makes a macvtap on the uplink and opens its file.
func (w *world) macvtap() *guest {
	w.uplinked()
	attrs := w.on("hv", "up0", "mvt0")
	attrs.HardwareAddr = guestMAC()
	l := w.link("hv", &netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}})
	f, err := openMacvtap(w.at("hv"), l)
	w.must(err, "macvtap")
	g := w.guestOn(f)
	w.warm("out", guestAddr)
	_, err = g.resolve(w, netip.MustParseAddr("192.0.2.1"))
	w.must(err)
	return g
}

// openMacvtap makes the device's character device file in a temporary directory and opens
// it. Its number is in sysfs, of which a mount shows one network namespace only.
func openMacvtap(s *space, l netlink.Link) (*os.File, error) {
	dir, err := os.MkdirTemp("", "roads")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := fmt.Sprintf("tap%d", l.Attrs().Index)
	var number []byte
	err = inSysfs(s, dir, func(sys string) (err error) {
		number, err = os.ReadFile(filepath.Join(sys, "class/net", l.Attrs().Name, "macvtap", name, "dev"))
		return err
	})
	if err != nil {
		return nil, err
	}
	major, minor, _ := bytes.Cut(bytes.TrimSpace(number), []byte(":"))
	a, err := strconv.Atoi(string(major))
	if err != nil {
		return nil, err
	}
	b, err := strconv.Atoi(string(minor))
	if err != nil {
		return nil, err
	}
	fd, err := openDevice(filepath.Join(dir, name), unix.Mkdev(uint32(a), uint32(b)))
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(l.Attrs().Name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// inSysfs calls fn with a mount of sysfs that shows the namespace's devices, on a thread
// with mounts of its own that ends afterwards.
func inSysfs(s *space, dir string, fn func(sys string) error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread cannot be put back
		if unix.Gettid() == unix.Getpid() {
			// The main thread does not end, and shows the process's namespaces: leave it alone.
			defer runtime.UnlockOSThread()
			done <- inSysfs(s, dir, fn)
			return
		}
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Setns(s.FD(), unix.CLONE_NEWNET); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil && err != unix.EINVAL {
				return err
			}
			if err := unix.Mount("sysfs", dir, "sysfs", 0, ""); err != nil {
				return err
			}
			defer unix.Unmount(dir, unix.MNT_DETACH)
			return fn(dir)
		}()
	}()
	return <-done
}
