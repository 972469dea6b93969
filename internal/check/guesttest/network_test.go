// SPDX-License-Identifier: Apache-2.0

//go:build amd64

package guesttest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/netns"
)

// The guest is behind a tap device, which is a port of a bridge in the hypervisor's
// namespace. That routes to the outside.
//
//	guest              hypervisor                                          outside
//	192.0.2.50 ─ tap0 ─ br0 192.0.2.1 ─ up0 198.51.100.1 ─── out0 198.51.100.2
const (
	guestAddr   = "192.0.2.50"
	guestMAC    = "02:00:00:00:00:50"
	routerAddr  = "192.0.2.1"
	uplinkAddr  = "198.51.100.1"
	outsideAddr = "198.51.100.2"
)

// network is what the guest is connected to.
type network struct {
	hypervisor, outside *netns.NS
	tap                 *os.File
	tapIndex            uint32 // of the device in the hypervisor
}

// connect makes the network. It is removed when the test ends.
func connect(t *testing.T) *network {
	t.Helper()
	n := &network{hypervisor: namespace(t, "hypervisor"), outside: namespace(t, "outside")}
	err := errors.Join(n.uplink(), n.bridge(t))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func namespace(t *testing.T, role string) *netns.NS {
	t.Helper()
	ns, err := netns.Create(fmt.Sprintf("guest%d-%s", os.Getpid(), role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ns.Close(), netns.Delete(ns.Name())); err != nil {
			t.Error(err)
		}
	})
	if err := ns.Do(func() error {
		const off = "/proc/sys/net/ipv6/conf/default/disable_ipv6" // sends packets of its own
		return os.WriteFile(off, []byte("1"), 0)
	}); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return ns
}

// uplink connects the hypervisor with the outside.
func (n *network) uplink() error {
	hv, err := n.hypervisor.Netlink()
	if err != nil {
		return err
	}
	defer hv.Close()
	out, err := n.outside.Netlink()
	if err != nil {
		return err
	}
	defer out.Close()
	pair := &netlink.Veth{
		LinkAttrs: attrs("up0"), PeerName: "out0", PeerNamespace: netlink.NsFd(n.outside.FD()),
	}
	if err := hv.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	if err := errors.Join(configure(hv, "up0", uplinkAddr), configure(out, "out0", outsideAddr)); err != nil {
		return err
	}
	return out.RouteAdd(&netlink.Route{Dst: network24(guestAddr), Gw: net.ParseIP(uplinkAddr)})
}

// bridge makes the tap and the bridge that it is a port of.
func (n *network) bridge(t *testing.T) error {
	if err := n.hypervisor.Do(func() (err error) {
		if n.tap, err = openTap("tap0"); err != nil {
			return fmt.Errorf("tap: %w", err)
		}
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/forwarding", []byte("1"), 0)
	}); err != nil {
		return err
	}
	t.Cleanup(func() { n.tap.Close() })
	hv, err := n.hypervisor.Netlink()
	if err != nil {
		return err
	}
	defer hv.Close()
	tap, err := hv.LinkByName("tap0")
	if err != nil {
		return err
	}
	n.tapIndex = uint32(tap.Attrs().Index)
	br := &netlink.Bridge{LinkAttrs: attrs("br0")}
	if err := hv.LinkAdd(br); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return errors.Join(hv.LinkSetMaster(tap, br), hv.LinkSetUp(tap), configure(hv, "br0", routerAddr))
}

// openTap makes a tap device in the thread's namespace as QEMU does it itself.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), filepath.Join("/dev/net", name)), nil
}

func attrs(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// configure gives a device an address of a network of 24 bits and brings it up.
func configure(h *netlink.Handle, name, addr string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	dst := network24(addr)
	a := &netlink.Addr{IPNet: &net.IPNet{IP: netip.MustParseAddr(addr).AsSlice(), Mask: dst.Mask}}
	return errors.Join(h.AddrAdd(l, a), h.LinkSetUp(l))
}

func network24(addr string) *net.IPNet {
	mask := net.CIDRMask(24, 32)
	return &net.IPNet{IP: net.ParseIP(addr).To4().Mask(mask), Mask: mask}
}
