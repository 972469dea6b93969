// SPDX-License-Identifier: Apache-2.0

package twin

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/check/fastpath/frame"
)

// addAddresses gives the hypervisor its addresses, routes, and neighbours for all who speak.
func (n *Network) addAddresses() error {
	addrs := map[string][]string{
		RedBridge: {red4 + "/24", red6 + "/64"}, BlueBridge: {blue4 + "/24", blue6 + "/64"},
	}
	if !n.Spec.Bridge || n.Spec.Overlay != Plain {
		addrs[Uplink] = []string{uplink4 + "/24", uplink6 + "/64"}
	}
	if n.Spec.Overlay == Routed {
		addrs[tunnel] = []string{inner4 + "/24", inner6 + "/64"}
	}
	for device, list := range addrs {
		for _, a := range list {
			if err := n.addAddress(device, a); err != nil {
				return fmt.Errorf("adding %s to %s: %w", a, device, err)
			}
		}
	}
	if err := n.addNeighbours(); err != nil {
		return err
	}
	return n.addRoutes()
}

func (n *Network) addAddress(device, text string) error {
	link, err := n.nl.LinkByName(device)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	if addr.IP.To4() == nil {
		addr.Flags |= unix.IFA_F_NODAD
	}
	return n.nl.AddrAdd(link, addr)
}

// way is the device that leads outside, and the router there.
func (s *Spec) way() (device string, routers [2]string, mac net.HardwareAddr) {
	if s.Overlay == Routed {
		return tunnel, [2]string{remote4, remote6}, frame.MAC(remoteMAC)
	}
	return Uplink, [2]string{router4, router6}, frame.MAC(ports[Outside].far)
}

func (n *Network) addNeighbours() error {
	var errs []error
	add := func(device, addr string, mac net.HardwareAddr) {
		errs = append(errs, n.addNeighbour(device, addr, mac))
	}
	for i := range guests {
		device := n.Spec.master(guests[i].end)
		for _, a := range guests[i].addrs {
			add(device, a.String(), frame.MAC(ports[guests[i].end].far))
		}
	}
	if n.Spec.Bridge {
		for i := range near {
			for _, a := range near[i].addrs {
				add(RedBridge, a.String(), n.Spec.own(Outside))
			}
		}
	} else {
		device, routers, mac := n.Spec.way()
		add(device, routers[0], mac)
		add(device, routers[1], mac)
		// Packets that are not translated, or they wait until the kernel says that there is nobody. It is at
		// the uplink even if the way outside is a tunnel.
		add(Uplink, service4, frame.MAC(ports[Outside].far))
		add(Uplink, service6, frame.MAC(ports[Outside].far))
	}
	if n.Spec.Overlay != Plain {
		add(Uplink, router4, frame.MAC(ports[Outside].far))
	}
	return errors.Join(append(errs, n.addForwarding())...)
}

func (n *Network) addNeighbour(device, addr string, mac net.HardwareAddr) error {
	link, err := n.nl.LinkByName(device)
	if err != nil {
		return err
	}
	return n.nl.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(addr), HardwareAddr: mac,
	})
}

// addForwarding tells bridges who is behind which port: a bridge floods what is for an address that it has
// not learnt, and learns as frames come.
func (n *Network) addForwarding() error {
	at := map[string]net.HardwareAddr{}
	for i := range ports {
		if n.Spec.master(i) != "" {
			at[ports[i].name] = frame.MAC(ports[i].far)
		}
	}
	if n.Spec.Bridge && n.Spec.Overlay == Bridged {
		at[tunnel] = frame.MAC(remoteMAC)
	}
	for device, mac := range at {
		link, err := n.nl.LinkByName(device)
		if err != nil {
			return err
		}
		err = n.nl.NeighAppend(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, // static; what is permanent is the bridge's own
			Flags: netlink.NTF_MASTER, HardwareAddr: mac,
		})
		if err != nil {
			return fmt.Errorf("telling a bridge who is behind %s: %w", device, err)
		}
	}
	return nil
}

func (n *Network) addRoutes() error {
	if n.Spec.Bridge {
		return nil
	}
	device, routers, _ := n.Spec.way()
	link, err := n.nl.LinkByName(device)
	if err != nil {
		return err
	}
	// The last are for what is not translated: how often the kernel says that there is no route depends on
	// time.
	for i, to := range []string{"203.0.113.0/24", "2001:db8:b::/64", "198.51.100.0/24", "2001:db8:d::/64"} {
		_, dst, err := net.ParseCIDR(to)
		if err != nil {
			return err
		}
		err = n.nl.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(routers[i%2]), LinkIndex: link.Attrs().Index})
		if err != nil {
			return fmt.Errorf("route to %s: %w", to, err)
		}
	}
	return nil
}
