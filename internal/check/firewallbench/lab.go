// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The addresses of each lab. Package synth's plain packet goes from the guest to the outside.
//
//	guest 10.0.0.2 --- tap [br-red 10.0.0.1] hypervisor [uplink 192.0.2.254] --- outside 192.0.2.1
//
// All of 172.16.0.0/12 is the guest's, too, and 198.18.0.0/15 the outside's. What goes anywhere else
// comes to the outside, which throws it away.
const (
	guestAddr   = "10.0.0.2"
	bridgeAddr  = "10.0.0.1"
	uplinkAddr  = "192.0.2.254"
	outsideAddr = "192.0.2.1"
	guests      = "172.16.0.0/12"
	answered    = "198.18.0.0/15"
	bridgeName  = "br-red"
	portName    = "tap-red"
	uplinkName  = "uplink"
)

// lab is a guest, a hypervisor and an outside, each in a namespace of its own.
type lab struct {
	names                      []string
	guest, hypervisor, outside *netns.NS
	// bridge is the hardware address to which the guest sends.
	bridge, guestMAC net.HardwareAddr
}

func newLab(name string) (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.down())
		}
	}()
	for _, part := range []struct {
		suffix string
		ns     **netns.NS
	}{{"g", &l.guest}, {"h", &l.hypervisor}, {"o", &l.outside}} {
		full := fmt.Sprintf("%s-%s", name, part.suffix)
		if *part.ns, err = netns.Create(full); err != nil {
			return l, err
		}
		l.names = append(l.names, full)
	}
	for _, step := range []func() error{l.devices, l.settings, l.routes} {
		if err := step(); err != nil {
			return l, err
		}
	}
	return l, nil
}

// down removes the namespaces and all that is in them.
func (l *lab) down() error {
	var errs []error
	for _, ns := range []*netns.NS{l.guest, l.hypervisor, l.outside} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	for _, name := range l.names {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}

func (l *lab) devices() error {
	hv, err := l.hypervisor.Netlink()
	if err != nil {
		return err
	}
	defer hv.Close()
	pair := func(name string, peer *netns.NS) error {
		v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "eth0", PeerNamespace: netlink.NsFd(peer.FD())}
		v.Name = name
		return hv.LinkAdd(v)
	}
	if err := errors.Join(pair(portName, l.guest), pair(uplinkName, l.outside)); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = bridgeName
	if err := hv.LinkAdd(bridge); err != nil {
		return err
	}
	port, err := hv.LinkByName(portName)
	if err != nil {
		return err
	}
	if err := hv.LinkSetMasterByIndex(port, bridge.Index); err != nil {
		return err
	}
	if err := up(hv, portName, ""); err != nil {
		return err
	}
	if err := errors.Join(up(hv, bridgeName, bridgeAddr+"/24"), up(hv, uplinkName, uplinkAddr+"/24")); err != nil {
		return err
	}
	if l.bridge, err = mac(hv, bridgeName); err != nil {
		return err
	}
	return l.ends()
}

// ends sets up the devices of guest and outside.
func (l *lab) ends() error {
	for _, end := range []struct {
		ns   *netns.NS
		addr string
	}{{l.guest, guestAddr + "/24"}, {l.outside, outsideAddr + "/24"}} {
		h, err := end.ns.Netlink()
		if err != nil {
			return err
		}
		err = errors.Join(up(h, "lo", ""), up(h, "eth0", end.addr))
		if err == nil && end.ns == l.guest {
			l.guestMAC, err = mac(h, "eth0")
		}
		h.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func up(h *netlink.Handle, name, addr string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	if addr != "" {
		a, err := netlink.ParseAddr(addr)
		if err != nil {
			return err
		}
		if err := h.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return h.LinkSetUp(link)
}

func mac(h *netlink.Handle, name string) (net.HardwareAddr, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return link.Attrs().HardwareAddr, nil
}

// settings lets the hypervisor forward, and nobody mind a packet's source.
func (l *lab) settings() error {
	set := func(ns *netns.NS, values map[string]string) error {
		return ns.Do(func() error {
			for name, value := range values {
				if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	quiet := map[string]string{"ipv6/conf/all/disable_ipv6": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0"}
	for _, ns := range []*netns.NS{l.guest, l.hypervisor, l.outside} {
		if err := set(ns, quiet); err != nil {
			return err
		}
	}
	return set(l.hypervisor, map[string]string{
		"ipv4/ip_forward": "1", "ipv4/conf/" + bridgeName + "/rp_filter": "0",
		"ipv4/conf/" + uplinkName + "/rp_filter": "0", "ipv4/conf/all/send_redirects": "0",
	})
}

func (l *lab) routes() error {
	return errors.Join(
		route(l.guest, "0.0.0.0/0", bridgeAddr, "eth0", unix.RTN_UNICAST),
		route(l.outside, "0.0.0.0/0", uplinkAddr, "eth0", unix.RTN_UNICAST),
		route(l.outside, answered, "", "lo", unix.RTN_LOCAL),
		route(l.hypervisor, guests, guestAddr, bridgeName, unix.RTN_UNICAST),
		route(l.hypervisor, "0.0.0.0/0", outsideAddr, uplinkName, unix.RTN_UNICAST),
	)
}

func route(ns *netns.NS, to, via, device string, kind int) error {
	h, err := ns.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(device)
	if err != nil {
		return err
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Type: kind, Dst: ipNet(to)}
	if via != "" {
		r.Gw = net.ParseIP(via)
	}
	if kind == unix.RTN_LOCAL {
		r.Table, r.Scope = unix.RT_TABLE_LOCAL, netlink.SCOPE_HOST
	}
	if err := h.RouteReplace(r); err != nil {
		return fmt.Errorf("route to %s in %s: %w", to, ns.Name(), err)
	}
	return nil
}

func ipNet(text string) *net.IPNet {
	p := netip.MustParsePrefix(text)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
