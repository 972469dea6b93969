// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/dwelltrace/dwell/internal/privilege/privilegetest"
)

// privileged skips a test that needs root.
func privileged(t testing.TB) {
	t.Helper()
	privilegetest.BPF(t)
}

// namespace is a network namespace of a test's own.
type namespace struct {
	t     testing.TB
	name  string
	inode uint32
	ns    netns.NsHandle
	nl    *netlink.Handle
}

// newNamespace makes a namespace that goes when the test ends.
func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	n := &namespace{t: t, name: name}
	unique := fmt.Sprintf("dwell-bpf-%d-%s", os.Getpid(), name)
	onThread(t, netns.None(), func() {
		var err error
		if n.ns, err = netns.NewNamed(unique); err != nil {
			t.Fatalf("make namespace %s: %v", unique, err)
		}
	})
	t.Cleanup(func() {
		if n.nl != nil {
			n.nl.Close()
		}
		if err := n.ns.Close(); err != nil {
			t.Errorf("close namespace %s: %v", unique, err)
		}
		if err := netns.DeleteNamed(unique); err != nil {
			t.Errorf("remove namespace %s: %v", unique, err)
		}
	})
	var st unix.Stat_t
	if err := unix.Fstat(int(n.ns), &st); err != nil {
		t.Fatal(err)
	}
	n.inode = uint32(st.Ino)
	var err error
	if n.nl, err = netlink.NewHandleAt(n.ns, unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	n.sysctl("net/ipv6/conf/all/accept_dad", "0")
	n.sysctl("net/ipv6/conf/default/accept_dad", "0")
	n.up("lo")
	return n
}

// onThread runs f on a thread in namespace ns (or the host's, with None), and
// brings the thread back to where it was.
func onThread(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	defer func() {
		if err := netns.Set(host); err != nil {
			panic(fmt.Sprintf("cannot return to the host's namespace: %v", err))
		}
	}()
	if ns.IsOpen() {
		if err := netns.Set(ns); err != nil {
			t.Fatal(err)
		}
	}
	f()
}

// do runs f in the namespace.
func (n *namespace) do(f func()) {
	n.t.Helper()
	onThread(n.t, n.ns, f)
}

func (n *namespace) must(what string, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %s: %v", n.name, what, err)
	}
}

// sysctl writes a file below /proc/sys of the namespace.
func (n *namespace) sysctl(path, value string) {
	n.t.Helper()
	n.do(func() { n.must(path, os.WriteFile("/proc/sys/"+path, []byte(value), 0o644)) })
}

func (n *namespace) link(name string) netlink.Link {
	n.t.Helper()
	l, err := n.nl.LinkByName(name)
	n.must("find "+name, err)
	return l
}

// device returns the name of the device with an index.
func (n *namespace) device(index uint32) string {
	n.t.Helper()
	l, err := n.nl.LinkByIndex(int(index))
	n.must(fmt.Sprintf("find device %d", index), err)
	return l.Attrs().Name
}

func (n *namespace) index(name string) uint32 { return uint32(n.link(name).Attrs().Index) }

func (n *namespace) add(l netlink.Link) {
	n.t.Helper()
	n.must("add "+l.Attrs().Name, n.nl.LinkAdd(l))
}

func (n *namespace) up(name string) {
	n.t.Helper()
	n.must("up "+name, n.nl.LinkSetUp(n.link(name)))
}

// address gives the device an address, such as 192.0.2.1/24, and sets it up.
func (n *namespace) address(device, prefix string) {
	n.t.Helper()
	addr, err := netlink.ParseAddr(prefix)
	n.must(prefix, err)
	if netip.MustParsePrefix(prefix).Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	n.must(prefix, n.nl.AddrAdd(n.link(device), addr))
	n.up(device)
}

// route sends a prefix via a gateway.
func (n *namespace) route(prefix, gateway string) {
	n.t.Helper()
	_, dst, err := net.ParseCIDR(prefix)
	n.must(prefix, err)
	n.must("route "+prefix, n.nl.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP(gateway)}))
}

// pair joins two namespaces with a veth pair. The neighbour entries are made
// beforehand, so that no packet waits for ARP.
func pair(a *namespace, devA string, b *namespace, devB string) {
	a.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = devA
	a.add(&netlink.Veth{LinkAttrs: attrs, PeerName: devB, PeerNamespace: netlink.NsFd(int(b.ns))})
	a.up(devA)
	b.up(devB)
}

// neighbour tells the namespace the hardware address of a device elsewhere.
func (n *namespace) neighbour(device, addr string, at *namespace, other string) {
	n.t.Helper()
	n.must("neighbour "+addr, n.nl.NeighSet(&netlink.Neigh{
		LinkIndex:    int(n.index(device)),
		State:        netlink.NUD_PERMANENT,
		IP:           net.ParseIP(addr),
		HardwareAddr: at.link(other).Attrs().HardwareAddr,
	}))
}
