// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// readyTimeout is how long the kernel may take to bring the links up. It takes
// milliseconds; on a busy machine its work queues can be late.
const readyTimeout = 10 * time.Second

// awaitReady waits until the first packet arrives. A device that has been brought up
// throws packets away until the kernel's link watch has seen its carrier, and a new IPv6
// address does not answer until a work queue has had its turn; a packet lost to either is
// sent again only after a second.
func (b *builder) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("they do not come up"))
	defer cancel()
	for _, role := range b.topology.Roles() {
		if err := b.spaces[role].awaitReady(ctx); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
	}
	return nil
}

func (s *space) awaitReady(ctx context.Context) error {
	news, err := nl.SubscribeAt(vns.NsHandle(s.FD()), vns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer news.Close()
	// So that the end of ctx is seen, too.
	if err := news.SetReceiveTimeout(&unix.Timeval{Usec: 100_000}); err != nil {
		return err
	}
	for {
		waiting, err := s.unready()
		if err != nil || len(waiting) == 0 {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", strings.Join(waiting, ", "), context.Cause(ctx))
		}
		_, _, err = news.Receive()
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
}

// unready names the devices without carrier and the addresses that do not answer yet.
func (s *space) unready() ([]string, error) {
	links, err := s.nl.LinkList()
	if err != nil {
		return nil, err
	}
	var waiting []string
	for _, l := range links {
		if monitored(l) && l.Attrs().OperState != netlink.OperUp {
			waiting = append(waiting, l.Attrs().Name)
		}
	}
	addrs, err := s.nl.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			waiting = append(waiting, a.IP.String())
		}
	}
	return waiting, nil
}

// monitored reports whether a device has a carrier to wait for; loopback and tunnels
// never leave the operational state "unknown".
func monitored(l netlink.Link) bool { return l.Type() == "veth" || l.Type() == "bridge" }
