// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net/netip"
	"slices"
)

// The roles that namespaces play. A namespace is named
// <prefix>-<topology>-<role>, so a role has no "-" in it.
const (
	Guest      = "guest"
	Hypervisor = "hypervisor"
	Outside    = "outside"
	Router     = "router"
	Remote     = "remote"
	Switch     = "bridge"
	Near       = "near"
	Far        = "far"
	Red        = "red"
	Blue       = "blue"
)

// Topology describes a virtual network: what there is, not how it is made.
type Topology struct {
	// Name is what the user types.
	Name string
	// Summary is one line on what a ping passes through.
	Summary string
	Spaces  []Space
	Bridges []Bridge
	Veths   []Veth
	VXLANs  []VXLAN
	// Target4 and Target6 are what the guests ping. Target6 is invalid where the
	// topology has no IPv6.
	Target4, Target6 netip.Addr
}

// Space is a network namespace.
type Space struct {
	Role string
	// Loopback holds addresses on lo besides its own.
	Loopback []netip.Prefix
	Routes   []Route
	// Forward makes the namespace a router, of IPv4 and IPv6.
	Forward bool
	// Masquerade names the devices on which IPv4 packets leave with the device's
	// address instead of their own.
	Masquerade []string
	// Tenants are those whose guests hang on the namespace's bridges.
	Tenants []Tenant
}

// Tenant is one of several who share a hypervisor and may have the same IPv4 addresses. What
// comes from one and what goes to one have conntrack zones, marks and a routing table of the
// tenant's own.
type Tenant struct {
	// Role is the guest's, and the tenant's ID.
	Role string
	// Bridge is the one that the guest hangs on.
	Bridge string
	// Network is behind Bridge. Only packets that are meant for the tenant are routed to it.
	Network netip.Prefix
	// Guest is the guest's IPv4 address in Network, Public what it is translated to, one to one.
	Guest, Public netip.Addr
}

// Ping says who pings what.
type Ping struct {
	// From is the guest's role.
	From string
	To   netip.Addr
}

// Route is a route through a gateway.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Port is a device in a namespace.
type Port struct {
	// In is the role of the namespace.
	In string
	// Name is at most 15 bytes long.
	Name  string
	Addrs []netip.Prefix
	// Bridge is the name of the bridge in the same namespace that the device is a
	// port of, or "".
	Bridge string
}

// Bridge is a Linux bridge without spanning tree and multicast snooping, so that
// it forwards from the first packet on and sends none of its own.
type Bridge struct{ Port }

// Veth is a pair of virtual Ethernet devices.
type Veth [2]Port

// VXLAN is one end of a point-to-point VXLAN tunnel (RFC 7348) on UDP port 4789.
type VXLAN struct {
	Port
	// VNI is the VXLAN network identifier, 24 bits.
	VNI           int
	Local, Remote netip.Addr
}

// Space returns the description of the namespace that plays a role.
func (t Topology) Space(role string) (Space, bool) {
	i := slices.IndexFunc(t.Spaces, func(s Space) bool { return s.Role == role })
	if i < 0 {
		return Space{}, false
	}
	return t.Spaces[i], true
}

// Guests returns the roles that pings are sent from: the guests of the tenants, or the first.
func (t Topology) Guests() []string {
	var guests []string
	for _, tenant := range t.Tenants() {
		guests = append(guests, tenant.Role)
	}
	if guests == nil {
		return []string{t.Spaces[0].Role}
	}
	return guests
}

// Tenants returns the tenants, or nil where there is none.
func (t Topology) Tenants() []Tenant {
	var all []Tenant
	for _, s := range t.Spaces {
		all = append(all, s.Tenants...)
	}
	return all
}

// Pings returns the IPv4 pings that show the topology: each guest pings the target, and the
// first tenant's the second's.
func (t Topology) Pings() []Ping {
	var all []Ping
	for _, guest := range t.Guests() {
		all = append(all, Ping{guest, t.Target4})
	}
	if tenants := t.Tenants(); len(tenants) > 1 {
		all = append(all, Ping{tenants[0].Role, tenants[1].Public})
	}
	return all
}

// Roles returns the roles in the order of the description, the guests first.
func (t Topology) Roles() []string {
	roles := make([]string, len(t.Spaces))
	for i, s := range t.Spaces {
		roles[i] = s.Role
	}
	return roles
}

// ports returns every device but the loopbacks, bridges before their ports.
func (t Topology) ports() []Port {
	var ports []Port
	for _, b := range t.Bridges {
		ports = append(ports, b.Port)
	}
	for _, v := range t.Veths {
		ports = append(ports, v[0], v[1])
	}
	for _, v := range t.VXLANs {
		ports = append(ports, v.Port)
	}
	return ports
}

// addrs parses addresses with their prefix lengths. The descriptions are part of
// the program, so that a mistake in one is a panic that every test finds.
func addrs(cidrs ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(cidrs))
	for i, c := range cidrs {
		out[i] = netip.MustParsePrefix(c)
	}
	return out
}

// via makes a route.
func via(to, gateway string) Route {
	return Route{To: netip.MustParsePrefix(to), Via: netip.MustParseAddr(gateway)}
}

// defaults makes the default routes, IPv4 and IPv6 by the gateway's address.
func defaults(gateways ...string) []Route {
	var routes []Route
	for _, g := range gateways {
		if netip.MustParseAddr(g).Is4() {
			routes = append(routes, via("0.0.0.0/0", g))
		} else {
			routes = append(routes, via("::/0", g))
		}
	}
	return routes
}
