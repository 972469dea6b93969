// SPDX-License-Identifier: Apache-2.0

// Package notify waits for what the kernel announces over netlink: that devices, addresses or
// rules have changed. What exactly changed is of no interest here, because whoever waits
// reads everything anew; so messages can be lost without harm, if only it is noticed that
// some were.
package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// Socket receives announcements. They are kept from [Open] on.
type Socket struct{ file *os.File }

// Open subscribes to multicast groups of a netlink protocol, such as NETLINK_ROUTE and
// RTNLGRP_LINK, in the namespace; nil is the process's. The caller calls Run or Close.
func Open(ns *netns.NS, protocol int, groups ...int) (*Socket, error) {
	fd := -1
	open := func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	}
	run := func(fn func() error) error { return fn() }
	if ns != nil {
		run = ns.Do
	}
	if err := run(open); err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, group := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("subscribing to what netlink announces: %w", errors.Join(err, unix.Close(fd)))
	}
	return &Socket{os.NewFile(uintptr(fd), "netlink")}, nil
}

// Close ends a Run that is under way.
func (s *Socket) Close() error { return s.file.Close() }

// Run calls changed after each announcement, and after some were lost, until ctx is done; then
// it closes the socket and returns nil. Announcements that are there already cause one call.
func (s *Socket) Run(ctx context.Context, changed func()) error {
	return s.RunIf(ctx, func([]byte) bool { return true }, changed)
}

// RunIf is like [Socket.Run], but only for announcements that are wanted. What wanted is given is
// one message of netlink with its header.
func (s *Socket) RunIf(ctx context.Context, wanted func(message []byte) bool, changed func()) error {
	defer s.file.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, bufferSize)
	for {
		tell, err := s.read(buf, wanted)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for what netlink announces: %w", err)
		}
		if tell {
			changed()
		}
	}
}

// bufferSize is the longest announcement that is read as a whole.
const bufferSize = 1 << 16

// read waits for an announcement, takes all that are there, and returns whether one is wanted.
func (s *Socket) read(buf []byte, wanted func([]byte) bool) (tell bool, err error) {
	n, err := s.file.Read(buf)
	if err != nil && !errors.Is(err, unix.ENOBUFS) {
		return false, err
	}
	tell = err != nil || some(buf[:n], wanted)
	conn, err := s.file.SyscallConn()
	if err != nil {
		return false, err
	}
	err = conn.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), buf)
			switch {
			case errors.Is(err, unix.ENOBUFS):
				tell = true
			case err != nil:
				return // no more, or whatever the next call will return
			default:
				tell = tell || some(buf[:n], wanted)
			}
		}
	})
	return tell, err
}

// some reports whether a message of a datagram is wanted. One that is cut off is.
func some(datagram []byte, wanted func([]byte) bool) bool {
	for len(datagram) > 0 {
		if len(datagram) < unix.SizeofNlMsghdr {
			return true
		}
		n := int(binary.NativeEndian.Uint32(datagram))
		if n < unix.SizeofNlMsghdr || n > len(datagram) || wanted(datagram[:n]) {
			return true
		}
		datagram = datagram[min((n+3)&^3, len(datagram)):]
	}
	return false
}
