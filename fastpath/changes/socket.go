// SPDX-License-Identifier: Apache-2.0

package changes

import (
	"context"
	"errors"
	"fmt"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

const (
	// bufferSize is the longest announcement that is read as a whole, in bytes.
	bufferSize = 1 << 16
	// queueSize is how many bytes the kernel keeps for each socket: some ten thousand messages.
	queueSize = 32 << 20
	// attempts is how often something is listed that changes meanwhile.
	attempts = 10
)

// subscribe opens a socket that receives what is announced to groups.
func subscribe(ns *netns.NS, protocol int, groups []int) (fd int, err error) {
	err = netns.In(ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("opening a netlink socket of protocol %d: %w", protocol, err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, group := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
		}
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("joining groups of netlink protocol %d: %w", protocol, err), unix.Close(fd))
	}
	// Without the permission the kernel's limit holds, and messages are lost sooner, which is noticed.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueSize) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueSize)
	}
	return fd, nil
}

// list reads devices, neighbours and tables of bridges into the mirrors. Nothing is noted.
func (w *watcher) list() error {
	var conn *mdl.Conn
	err := netns.In(w.ns, func() (err error) {
		conn, err = mdl.Dial(unix.NETLINK_ROUTE, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer conn.Close()
	for _, l := range []struct {
		what   string
		kind   mdl.HeaderType
		family byte
		size   int
	}{
		{"devices", unix.RTM_GETLINK, unix.AF_UNSPEC, infoSize},
		{"neighbours", unix.RTM_GETNEIGH, unix.AF_UNSPEC, ndmSize},
		{"tables of bridges", unix.RTM_GETNEIGH, unix.AF_BRIDGE, ndmSize},
	} {
		if err := w.listing(conn, l.kind, request(l.family, l.size)); err != nil {
			return fmt.Errorf("listing %s: %w", l.what, err)
		}
	}
	w.news.take()
	return nil
}

// request returns the body of a request for a listing, of which only the family counts.
func request(family byte, size int) []byte { return append([]byte{family}, make([]byte, size-1)...) }

func (w *watcher) listing(conn *mdl.Conn, kind mdl.HeaderType, body []byte) error {
	for range attempts {
		answers, err := conn.Execute(mdl.Message{Header: mdl.Header{Type: kind, Flags: mdl.Request | mdl.Dump}, Data: body})
		if err != nil {
			return err
		}
		interrupted := false
		for _, a := range answers {
			interrupted = interrupted || a.Header.Flags&mdl.DumpInterrupted != 0
			w.route(message{uint16(a.Header.Type), a.Data})
		}
		if !interrupted {
			break // what changed meanwhile is announced
		}
	}
	return nil
}

// stop is a descriptor that can be read when a context is done.
type stop struct {
	fd      int
	release func()
}

func stopper(ctx context.Context) (*stop, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	return &stop{fd, func() {
		if !cancel() {
			<-done // it must not write to what the number is given to next
		}
	}}, nil
}
