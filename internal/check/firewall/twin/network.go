// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The ends of the wires that lead into a hypervisor: two guests of the tenant red on one
// bridge, and what is outside.
const (
	Guest0 = iota
	Guest1
	Outside
	ends
)

// Bridge is the tenant's bridge, and Uplink the device that leads out of the hypervisor.
const (
	Bridge = "br-red"
	Uplink = "ens3"
)

// port is a device of the hypervisor, and the end of the wire that is behind it.
type port struct {
	name, wire string
	mac, far   string
}

var ports = [ends]port{
	Guest0:  {name: "tap-red-0", wire: "g0", mac: "02:00:00:00:01:00", far: "02:00:00:00:00:10"},
	Guest1:  {name: "tap-red-1", wire: "g1", mac: "02:00:00:00:01:01", far: "02:00:00:00:00:11"},
	Outside: {name: Uplink, wire: "o0", mac: "02:00:00:00:01:02", far: "02:00:00:00:00:20"},
}

const bridgeMAC = "02:00:00:00:02:00"

// Addresses of the hypervisor, and of those that it has neighbours for.
var (
	guests4 = []string{"192.168.0.10", "192.168.0.11", "192.168.0.12"}
	guests6 = []string{"2001:db8:a::10", "2001:db8:a::11", "2001:db8:a::12"}
	// guestEnd is the end behind which a guest is.
	guestEnd = []int{Guest0, Guest1, Guest0}
)

const (
	bridge4, bridge6 = "192.168.0.1", "2001:db8:a::1"
	uplink4, uplink6 = "192.0.2.1", "2001:db8:c::1"
	router4, router6 = "192.0.2.2", "2001:db8:c::2"
)

// Network is one of the twins: a hypervisor, and the far ends of its wires in a namespace
// without addresses, where nothing answers but what a test sends.
type Network struct {
	Hypervisor, wire *netns.NS
	names            []string
	nl               *netlink.Handle
	ends             [ends]*end
}

// NewNetwork makes a twin. Its namespaces' names begin with the name, and have the process's ID in
// them. It needs root.
func NewNetwork(name string) (*Network, error) {
	n := &Network{}
	name = fmt.Sprintf("%s-%d", name, os.Getpid())
	if err := n.build(name); err != nil {
		return nil, errors.Join(fmt.Errorf("making the network %s: %w", name, err), n.Close())
	}
	return n, nil
}

func (n *Network) build(name string) (err error) {
	if n.Hypervisor, err = n.create(name + "-hypervisor"); err != nil {
		return err
	}
	if n.wire, err = n.create(name + "-wire"); err != nil {
		return err
	}
	if n.nl, err = n.Hypervisor.Netlink(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		return err
	}
	if err := n.wire.Do(func() error { return sysctl("net/ipv6/conf/default/disable_ipv6=1") }); err != nil {
		return err
	}
	if err := n.Hypervisor.Do(prepareHost); err != nil {
		return err
	}
	if err := n.addLinks(); err != nil {
		return err
	}
	if err := n.addAddresses(); err != nil {
		return err
	}
	return n.openEnds()
}

func (n *Network) create(name string) (*netns.NS, error) {
	if err := netns.Delete(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ns, err := netns.Create(name)
	if err == nil {
		n.names = append(n.names, name)
	}
	return ns, err
}

// prepareHost makes a router of the namespace that says nothing of its own accord and that
// answers as often as it is asked.
func prepareHost() error {
	return sysctl(
		"net/ipv4/ip_forward=1",
		"net/ipv6/conf/all/forwarding=1", "net/ipv6/conf/default/forwarding=1",
		"net/ipv6/conf/default/accept_dad=0", "net/ipv6/conf/default/dad_transmits=0",
		"net/ipv6/conf/default/router_solicitations=0", "net/ipv6/conf/default/mldv1_unsolicited_report_interval=100000",
		"net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/default/rp_filter=0",
		"net/ipv4/icmp_ratelimit=0", "net/ipv4/icmp_ratemask=0", "net/ipv6/icmp/ratelimit=0", "net/ipv6/icmp/ratemask=255",
		"net/ipv4/conf/all/send_redirects=1", "net/ipv4/conf/all/log_martians=0",
	)
}

// sysctl writes settings of the thread's namespace.
func sysctl(settings ...string) error {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s (is /proc/sys writable?): %w", key, err)
		}
	}
	return nil
}

func (n *Network) addLinks() error {
	off := false
	bridge := &netlink.Bridge{
		LinkAttrs: netlink.LinkAttrs{Name: Bridge, HardwareAddr: mac(bridgeMAC)}, MulticastSnooping: &off,
	}
	if err := n.nl.LinkAdd(bridge); err != nil {
		return err
	}
	if err := n.nl.LinkSetUp(bridge); err != nil {
		return err
	}
	wire, err := n.wire.Netlink()
	if err != nil {
		return err
	}
	defer wire.Close()
	for i := range ports {
		if err := n.addPort(i, bridge, wire); err != nil {
			return fmt.Errorf("%s: %w", ports[i].name, err)
		}
	}
	return nil
}

// addPort makes a pair, the hypervisor's end of which is a port of the bridge or the uplink.
func (n *Network) addPort(i int, bridge netlink.Link, wire *netlink.Handle) error {
	p := ports[i]
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: p.name, HardwareAddr: mac(p.mac), NumTxQueues: 1, NumRxQueues: 1},
		PeerName:  p.wire, PeerHardwareAddr: mac(p.far), PeerNamespace: netlink.NsFd(n.wire.FD()),
	}
	if err := n.nl.LinkAdd(veth); err != nil {
		return err
	}
	if i != Outside {
		if err := n.nl.LinkSetMaster(veth, bridge); err != nil {
			return err
		}
	}
	if err := n.nl.LinkSetUp(veth); err != nil {
		return err
	}
	far, err := wire.LinkByName(p.wire)
	if err != nil {
		return err
	}
	return wire.LinkSetUp(far)
}

func (n *Network) addAddresses() error {
	bridge, err := n.nl.LinkByName(Bridge)
	if err != nil {
		return err
	}
	uplink, err := n.nl.LinkByName(Uplink)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		link netlink.Link
		addr string
	}{{bridge, bridge4 + "/24"}, {bridge, bridge6 + "/64"}, {uplink, uplink4 + "/24"}, {uplink, uplink6 + "/64"}} {
		addr, err := netlink.ParseAddr(a.addr)
		if err != nil {
			return err
		}
		addr.Flags |= unix.IFA_F_NODAD
		if addr.IP.To4() != nil {
			addr.Flags = 0
		}
		if err := n.nl.AddrAdd(a.link, addr); err != nil {
			return fmt.Errorf("adding %s: %w", a.addr, err)
		}
	}
	if err := n.addNeighbours(bridge, uplink); err != nil {
		return err
	}
	return n.addRoutes(uplink)
}

func (n *Network) addNeighbours(bridge, uplink netlink.Link) error {
	add := func(link netlink.Link, addr, far string) error {
		return n.nl.NeighAdd(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(addr), HardwareAddr: mac(far),
		})
	}
	var errs []error
	for i := range guests4 {
		far := ports[guestEnd[i]].far
		errs = append(errs, add(bridge, guests4[i], far), add(bridge, guests6[i], far))
	}
	errs = append(errs, add(uplink, router4, ports[Outside].far), add(uplink, router6, ports[Outside].far))
	// A bridge floods what is for an address that it has not learnt, and learns as frames come.
	for _, i := range []int{Guest0, Guest1} {
		link, err := n.nl.LinkByName(ports[i].name)
		if err != nil {
			return err
		}
		errs = append(errs, n.nl.NeighAppend(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, // static; what is permanent is the bridge's own
			Flags: netlink.NTF_MASTER, HardwareAddr: mac(ports[i].far),
		}))
	}
	return errors.Join(errs...)
}

func (n *Network) addRoutes(uplink netlink.Link) error {
	for _, r := range []struct {
		dst, via string
		mtu      int
	}{
		{"203.0.113.0/24", router4, 0},
		{"2001:db8:b::/64", router6, 0},
		{"198.51.100.128/25", router4, 600}, // what is too long for it is answered, or cut
	} {
		_, dst, err := net.ParseCIDR(r.dst)
		if err != nil {
			return err
		}
		err = n.nl.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(r.via), LinkIndex: uplink.Attrs().Index, MTU: r.mtu})
		if err != nil {
			return fmt.Errorf("route to %s: %w", r.dst, err)
		}
	}
	_, dark, _ := net.ParseCIDR("198.51.100.64/26")
	return n.nl.RouteAdd(&netlink.Route{Dst: dark, Type: unix.RTN_UNREACHABLE})
}

// Close removes the network.
func (n *Network) Close() error {
	var errs []error
	for _, e := range n.ends {
		if e != nil {
			errs = append(errs, e.close())
		}
	}
	if n.nl != nil {
		n.nl.Close()
	}
	for _, ns := range []*netns.NS{n.Hypervisor, n.wire} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	for _, name := range n.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

func mac(text string) net.HardwareAddr {
	m, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}
