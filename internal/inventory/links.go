// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// links reads the kernel's notifications of devices in those namespaces where devices may be
// tenants' ports, so that one that is renamed or moved to another bridge belongs to another
// tenant at once. There are few such namespaces, and they last: a socket keeps its
// namespace alive.
type links struct {
	next atomic.Int64 // time of the next read, in ns since the Unix epoch

	// open opens a socket in the thread's namespace.
	open func() (int, error)

	mu      sync.Mutex
	sockets map[uint32]*linkSocket // by inode number
	polled  []unix.PollFd
	spaces  []*space // of polled
}

// linkSocket is a netlink socket in a namespace.
type linkSocket struct {
	fd int
	s  *space
}

// touched are devices about which there was a notification that no look has followed.
type touched struct {
	any atomic.Bool
	mu  sync.Mutex
	notified
	// taken are those that the look that is under way takes into account: until it has an
	// answer, they are still what nobody has looked at.
	taken notified
}

// notified are devices that notifications were about.
type notified struct {
	all bool
	// some says of devices whether they had another name or bridge than at the last look:
	// those may be back before the next.
	some map[uint32]bool
}

func (n *notified) empty() bool { return !n.all && len(n.some) == 0 }

func (n *notified) add(index uint32, moved bool) {
	if n.some == nil {
		n.some = map[uint32]bool{}
	}
	n.some[index] = n.some[index] || moved
}

func (n *notified) has(index uint32) bool {
	_, ok := n.some[index]
	return n.all || ok
}

func (t *touched) add(index uint32, moved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notified.add(index, moved)
	t.any.Store(true)
}

func (t *touched) addAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = true
	t.any.Store(true)
}

// has reports whether the device may be another one than at the last look that has ended.
func (t *touched) has(index uint32) bool {
	if !t.any.Load() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.notified.has(index) || t.taken.has(index)
}

// take returns what a look that begins takes into account.
func (t *touched) take() notified {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken, t.notified = t.notified, notified{}
	return t.taken
}

// done notes that the look has ended, and whether it has seen what was taken.
func (t *touched) done(seen bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !seen {
		for index, moved := range t.taken.some {
			t.notified.add(index, moved)
		}
		t.all = t.all || t.taken.all
	}
	t.taken = notified{}
	t.any.Store(!t.empty())
}

// watch begins to read notifications about the namespace, whose socket open makes, or reads
// those that have come. It reports false if there cannot be any.
func (l *links) watch(s *space, open func() (int, error)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if socket := l.sockets[s.inode]; socket != nil {
		drain(socket.fd, s)
		return true
	}
	fd, err := open()
	if err != nil {
		return false
	}
	if l.sockets == nil {
		l.sockets = map[uint32]*linkSocket{}
	}
	l.sockets[s.inode] = &linkSocket{fd, s}
	l.arrange()
	return true
}

// arrange makes the list to poll.
func (l *links) arrange() {
	l.polled, l.spaces = l.polled[:0], l.spaces[:0]
	for _, socket := range l.sockets {
		l.polled = append(l.polled, unix.PollFd{Fd: int32(socket.fd), Events: unix.POLLIN})
		l.spaces = append(l.spaces, socket.s)
	}
}

// keep closes the sockets of all other namespaces than those that wanted chooses.
func (l *links) keep(wanted func(inode uint32) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for inode, socket := range l.sockets {
		if !wanted(inode) {
			_ = unix.Close(socket.fd)
			delete(l.sockets, inode)
		}
	}
	l.arrange()
}

func (l *links) close() { l.keep(func(uint32) bool { return false }) }

// read notes the devices of the notifications that have come, unless that was done just now.
func (l *links) read(now time.Time) {
	next := l.next.Load()
	if now.UnixNano() < next || !l.next.CompareAndSwap(next, now.Add(checkInterval).UnixNano()) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.polled) == 0 {
		return
	}
	if n, err := unix.Poll(l.polled, 0); n <= 0 || err != nil {
		return
	}
	for i, p := range l.polled {
		if p.Revents != 0 {
			drain(int(p.Fd), l.spaces[i])
		}
	}
}

// Notice reads what the kernel has told of ports so far, for who is going to ask about packets
// that have been seen before: otherwise that is read only every few milliseconds.
func (v *Inventory) Notice() {
	if v.tenancy.Load() == nil {
		return
	}
	v.links.next.Store(0)
	v.links.read(v.cfg.Now())
}

// drain reads all notifications that have come.
func drain(fd int, s *space) {
	buffer := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil: // some were lost
			s.touched.addAll()
			if !errors.Is(err, unix.ENOBUFS) {
				return
			}
		default:
			s.noteLinks(buffer[:n])
		}
	}
}

// noteLinks notes the devices that messages are about: struct nlmsghdr, then struct ifinfomsg
// (linux/netlink.h, linux/rtnetlink.h).
func (s *space) noteLinks(b []byte) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			s.touched.addAll() // it is truncated
			return
		}
		if size >= unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg {
			index := binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN+4:])
			k, ok := s.snapshot.Load().devices[index]
			s.touched.add(index, ok && k.moved(b[unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg:size]))
		}
		b = b[min((size+3)&^3, len(b)):]
	}
}

// moved reports whether the attributes of a notification say that the device has another name
// or master than it is known to have: each is a length, a type and a value, to multiples of
// four bytes (struct rtattr).
func (k *known) moved(b []byte) bool {
	master := 0
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return true // it is truncated
		}
		switch value := b[unix.SizeofRtAttr:size]; binary.NativeEndian.Uint16(b[2:]) {
		case unix.IFLA_IFNAME:
			if unix.ByteSliceToString(value) != k.device.Name {
				return true
			}
		case unix.IFLA_MASTER:
			if len(value) == 4 {
				master = int(binary.NativeEndian.Uint32(value))
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return master != k.master
}

// linkSocketHere opens a socket for notifications of devices in the thread's namespace.
func linkSocketHere() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// cookieHere returns the number of the thread's namespace that no other ever has, or 0 if the
// kernel does not say (SO_NETNS_COOKIE, Linux 5.14).
func cookieHere() uint64 {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}
