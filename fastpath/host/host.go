// SPDX-License-Identifier: Apache-2.0

// Package host finds out which devices and ports of a host are which tenant's for the firewall.
//
// It is careful: a device is only a tenant's if it is sure that nobody else's packets pass it,
// because a tenant's chains are confined by it. The names by which tenants own
// devices are those of [tenant.Set]; nothing is derived from namespaces or virtual machines.
package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/fastpath/notify"
	"github.com/dwelltrace/dwell/fastpath/scope"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// attempts is how often a listing is made that the kernel says was interrupted by a change.
const attempts = 10

// Read reads devices and addresses of the namespace, nil for the process's, and says whose they
// are. What is wrong with one tenant is its [scope.Tenant.Problem], not an error. A tenant that
// has no devices here is no problem of its.
func Read(ns *netns.NS, tenants *tenant.Set) (*scope.Host, error) {
	h, err := handle(ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	links, err := again(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	addrs, err := again(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	devices := make([]device, len(links))
	for i, l := range links {
		devices[i] = deviceOf(l)
	}
	return assign(devices, addressesOf(addrs), tenants), nil
}

func handle(ns *netns.NS) (*netlink.Handle, error) {
	if ns != nil {
		return ns.Netlink()
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	return h, nil
}

// again lists until nothing has changed in between.
func again[T any](list func() ([]T, error)) (got []T, err error) {
	for range attempts {
		if got, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return got, err
}

// addressesOf returns addresses by their devices' indices, in the kernel's order.
func addressesOf(list []netlink.Addr) map[int][]netip.Addr {
	addrs := map[int][]netip.Addr{}
	for _, a := range list {
		if a.IPNet == nil {
			continue
		}
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			addrs[a.LinkIndex] = append(addrs[a.LinkIndex], ip.Unmap())
		}
	}
	return addrs
}

// Watch calls changed after devices or addresses of the namespace, nil for the process's, have
// changed, or may have because the kernel's messages were lost, until ctx is done. It does so
// from one goroutine, once at first when nothing that happens after it can be missed.
func Watch(ctx context.Context, ns *netns.NS, changed func()) error {
	s, err := notify.Open(ns, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	changed()
	return s.Run(ctx, changed)
}
