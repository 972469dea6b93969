// SPDX-License-Identifier: Apache-2.0

// Package notify waits for what the kernel announces over netlink: that devices, addresses or
// rules have changed. What exactly changed is of no interest here, because whoever waits
// reads everything anew; so messages can be lost without harm, if only it is noticed that
// some were.
package notify

import (
	"context"
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
	defer s.file.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var buf [1]byte // a read takes a whole message, whatever fits
	for {
		err := s.read(buf[:])
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for what netlink announces: %w", err)
		}
		changed()
	}
}

// read waits for an announcement and takes all that are there.
func (s *Socket) read(buf []byte) error {
	if _, err := s.file.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	conn, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) {
		for err := error(nil); err == nil || errors.Is(err, unix.ENOBUFS); {
			_, err = unix.Read(int(fd), buf)
		}
	})
}
