// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ready waits until the first packet gets through. The kernel's work queues do what is left
// of making a network in their own time: a device throws packets away until the link watch
// has seen its carrier, and an IPv6 address is nobody's until its route is there.
func ready(in ...*namespace) {
	for _, n := range in {
		n.t.Helper()
		eventually(n.t, n.name+": devices up", func() bool { return n.linksUp() })
		eventually(n.t, n.name+": addresses reachable", func() bool { return n.addressesRouted() })
	}
}

// linksUp reports whether all devices that have a carrier to wait for are up.
func (n *namespace) linksUp() bool {
	n.t.Helper()
	links, err := n.nl.LinkList()
	if !n.listed("devices", err) {
		return false
	}
	for _, l := range links {
		waits := l.Type() == "veth" || l.Type() == "bridge"
		if waits && l.Attrs().OperState != netlink.OperUp {
			return false
		}
	}
	return true
}

// addressesRouted reports whether each IPv6 address has its route in the local table.
func (n *namespace) addressesRouted() bool {
	n.t.Helper()
	addrs, err := n.nl.AddrList(nil, unix.AF_INET6)
	if !n.listed("addresses", err) {
		return false
	}
	routes, err := n.nl.RouteListFiltered(unix.AF_INET6, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
	if !n.listed("routes", err) {
		return false
	}
	local := map[string]bool{}
	for _, r := range routes {
		if r.Dst != nil && r.Type == unix.RTN_LOCAL {
			local[r.Dst.IP.String()] = true
		}
	}
	for _, a := range addrs {
		if !local[a.IP.String()] {
			return false
		}
	}
	return true
}

// listed reports whether a list is whole: it did not change while it was read.
func (n *namespace) listed(what string, err error) bool {
	n.t.Helper()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return false
	}
	n.must("list "+what, err)
	return true
}
