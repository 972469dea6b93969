// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// ensureLoopback brings lo up and gives it the addresses.
func (s *space) ensureLoopback(prefixes []netip.Prefix) error {
	lo, err := s.nl.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := s.nl.LinkSetUp(lo); err != nil {
		return err
	}
	return s.ensureAddrs("lo", prefixes)
}

// ensureAddrs gives the device the addresses. IPv6 ones are tentative until a work queue
// has made them answer, which awaitReady waits for; a sysctl says that nothing probes
// for duplicates (RFC 4862, 5.4) meanwhile, which would take a second.
func (s *space) ensureAddrs(device string, prefixes []netip.Prefix) error {
	link, err := s.nl.LinkByName(device)
	if err != nil {
		return err
	}
	for _, p := range prefixes {
		addr := &netlink.Addr{IPNet: ipNet(p.Addr().AsSlice(), p.Bits())}
		if err := s.nl.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("giving %s the address %s: %w", device, p, err)
		}
	}
	return nil
}

// ensureRoutes makes the routes, replacing others to the same destinations.
func (s *space) ensureRoutes(routes []Route) error {
	for _, r := range routes {
		err := s.nl.RouteReplace(&netlink.Route{
			Dst: ipNet(r.To.Addr().AsSlice(), r.To.Bits()),
			Gw:  r.Via.AsSlice(),
		})
		if err != nil {
			return fmt.Errorf("route to %s via %s: %w", r.To, r.Via, err)
		}
	}
	return nil
}
