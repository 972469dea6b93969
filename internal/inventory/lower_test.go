// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
)

// add makes a device in the namespace and returns where it is.
func add(t *testing.T, ns *netns.NS, name string, link netlink.Link) trace.Place {
	t.Helper()
	link.Attrs().Name = name
	inside(t, ns, func(nl *netlink.Handle) error { return nl.LinkAdd(link) })
	return placeOf(t, ns, name)
}

// placeOf returns where the device is that has the name in the namespace.
func placeOf(t *testing.T, ns *netns.NS, name string) (p trace.Place) {
	t.Helper()
	inside(t, ns, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(name)
		if err == nil {
			p = trace.Place{NetNS: ns.Inode(), Index: uint32(link.Attrs().Index)}
		}
		return err
	})
	return p
}

// move moves a device to another namespace and returns where it is there.
func move(t *testing.T, from, to *netns.NS, name string) trace.Place {
	t.Helper()
	inside(t, from, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		return nl.LinkSetNsFd(link, to.FD())
	})
	return placeOf(t, to, name)
}

func expectDevice(t *testing.T, v *Inventory, at trace.Place, name, kind string, lower trace.Place) *trace.Device {
	t.Helper()
	d := v.Device(at.NetNS, at.Index)
	if d.Name != name || d.Type != kind || d.Lower != lower {
		t.Errorf("%s is %q of type %q on %+v, want type %q on %+v", name, d.Name, d.Type, d.Lower, kind, lower)
	}
	return d
}

// pairOf makes a veth pair from a namespace to another or the same.
func pairOf(t *testing.T, a *netns.NS, name string, b *netns.NS, peer string) (here, there trace.Place) {
	t.Helper()
	here = add(t, a, name, &netlink.Veth{PeerName: peer, PeerNamespace: netlink.NsFd(b.FD())})
	return here, placeOf(t, b, peer)
}

func TestTypeAndLower(t *testing.T) {
	v, _ := newInventory(t, Config{})
	host, child := create(t, "below"), create(t, "above")
	none := trace.Place{}
	here, there := pairOf(t, host, "ve0", child, "ve1")
	one, two := pairOf(t, host, "ve2", host, "ve3")
	on := func() netlink.LinkAttrs { return netlink.LinkAttrs{ParentIndex: int(here.Index)} }
	stacked := add(t, host, "mv0", &netlink.Macvlan{LinkAttrs: on(), Mode: netlink.MACVLAN_MODE_BRIDGE})
	add(t, host, "mv1", &netlink.Macvlan{LinkAttrs: on(), Mode: netlink.MACVLAN_MODE_BRIDGE})
	add(t, host, "mt1", &netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: on(), Mode: netlink.MACVLAN_MODE_BRIDGE}})
	group := net.ParseIP("239.0.0.7")
	add(t, host, "vx1", &netlink.Vxlan{VxlanId: 7, Port: 4789, VtepDevIndex: int(here.Index), Group: group})
	add(t, host, "vx2", &netlink.Vxlan{VxlanId: 8, Port: 4789})
	local := add(t, host, "vx3", &netlink.Vxlan{VxlanId: 9, Port: 4789, VtepDevIndex: int(here.Index), Group: group})
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0"}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := host.Do(func() error { return netlink.LinkAdd(tap) }); err != nil { // it opens a file, not a socket
		t.Fatal(err)
	}
	for _, want := range []struct {
		at         trace.Place
		name, kind string
		lower      trace.Place
	}{
		{trace.Place{NetNS: host.Inode(), Index: 1}, "lo", "", none},
		{here, "ve0", "veth", there},
		{there, "ve1", "veth", here},
		{one, "ve2", "veth", two},
		{two, "ve3", "veth", one},
		{stacked, "mv0", "macvlan", here},
		{move(t, host, child, "mv1"), "mv1", "macvlan", here},
		{move(t, host, child, "mt1"), "mt1", "macvtap", here},
		{move(t, host, child, "vx1"), "vx1", "vxlan", here},
		{move(t, host, child, "vx2"), "vx2", "vxlan", none},
		{local, "vx3", "vxlan", here},
		{placeOf(t, host, "tap0"), "tap0", "tun", none},
		{add(t, host, "br0", &netlink.Bridge{}), "br0", "bridge", none},
		{add(t, host, "if0", &netlink.Ifb{}), "if0", "ifb", none},
	} {
		expectDevice(t, v, want.at, want.name, want.kind, want.lower)
	}
}

// The parent's namespace may have no name, and may have been made after the last scan.
func TestLowerInAnUnnamedNamespace(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns := create(t, "named")
	v.NetNS(ns.Inode())
	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	other, err := netns.OpenPID(sleep.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	here, there := pairOf(t, ns, "ve0", other, "ve1")
	c.advance(time.Second)
	expectDevice(t, v, here, "ve0", "veth", there)
	expectDevice(t, v, there, "ve1", "veth", here)
}

// What cannot be found is not known, and is when it can be found.
func TestLowerThatCannotBeFoundYet(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns, hidden := create(t, "open"), create(t, "hidden")
	here, there := pairOf(t, ns, "ve0", hidden, "ve1")
	if err := netns.Delete(hidden.Name()); err != nil { // the descriptor keeps it
		t.Fatal(err)
	}
	c.advance(time.Second)
	d := expectDevice(t, v, here, "ve0", "veth", trace.Place{})
	if again := v.Device(here.NetNS, here.Index); again != d {
		t.Error("another pointer though nothing changed")
	}
	bind(t, hidden, create(t, "shown").Name())
	c.advance(v.cfg.MaxAge)
	expectDevice(t, v, here, "ve0", "veth", there)
	if d.Lower != (trace.Place{}) {
		t.Errorf("what was handed out changed to %+v", d)
	}
}

// A peer that is moved is somewhere else, even if it has the same index there.
func TestLowerIsMoved(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns, from, to := create(t, "stays"), create(t, "from"), create(t, "to")
	here, there := pairOf(t, ns, "ve0", from, "ve1")
	before := expectDevice(t, v, here, "ve0", "veth", there)
	c.advance(v.cfg.MaxAge)
	if again := expectDevice(t, v, here, "ve0", "veth", there); again != before {
		t.Error("another pointer though nothing changed")
	}
	moved := move(t, from, to, "ve1")
	c.advance(v.cfg.MaxAge)
	if after := expectDevice(t, v, here, "ve0", "veth", moved); after.NetNS != before.NetNS {
		t.Errorf("another namespace: %+v", after.NetNS)
	}
	if before.Lower != there {
		t.Errorf("what was handed out changed to %+v", before)
	}
}

// The kernel is asked for the identifiers of namespaces once, not at every scan.
func TestNeighboursAreRemembered(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns, other := create(t, "asks"), create(t, "asked")
	here, there := pairOf(t, ns, "ve0", other, "ve1")
	asked := func() time.Time {
		expectDevice(t, v, here, "ve0", "veth", there)
		for _, n := range v.space(ns.Inode()).snapshot.Load().neighbours {
			return n.asked
		}
		return time.Time{}
	}
	first := asked()
	c.advance(v.cfg.MaxAge)
	if again := asked(); again != first || first.IsZero() {
		t.Errorf("asked at %v and %v", first, again)
	}
	c.advance(retain)
	if again := asked(); !again.After(first) {
		t.Errorf("not asked again after %s", retain)
	}
}

func TestTypeAndLowerAreKept(t *testing.T) {
	v, c := newInventory(t, Config{})
	ns, other := create(t, "keeps"), create(t, "gone2")
	here, there := pairOf(t, ns, "ve0", other, "ve1")
	want := expectDevice(t, v, here, "ve0", "veth", there)
	v.SetHypervisors([]uint32{ns.Inode()})
	if d := expectDevice(t, v, here, "ve0", "veth", there); !d.NetNS.Hypervisor || d == want {
		t.Errorf("%+v in %+v", d, d.NetNS)
	}
	inside(t, ns, func(nl *netlink.Handle) error {
		return nl.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(here.Index)}})
	})
	c.advance(retain - time.Second)
	expectDevice(t, v, here, "ve0", "veth", there)
}

// Netlink names a device of a type that has no parent as its own, once it names another
// namespace.
func TestNoParent(t *testing.T) {
	attrs := netlink.LinkAttrs{Index: 4, ParentIndex: 4, NetNsID: 0}
	for _, link := range []netlink.Link{
		&netlink.Geneve{LinkAttrs: attrs},
		&netlink.Vxlan{LinkAttrs: attrs},
		&netlink.GenericLink{LinkAttrs: attrs, LinkType: "ovpn"},
	} {
		if k := linkageOf(link); k.crosses() {
			t.Errorf("%s: %+v", link.Type(), k)
		}
	}
	if k := linkageOf(&netlink.Veth{LinkAttrs: attrs}); !k.crosses() {
		t.Errorf("a pair with the same index at both ends: %+v", k)
	}
}
