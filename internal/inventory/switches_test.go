// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/internal/ovsdb/ovsdbtest"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// link is what netlink says about a device of Open vSwitch, or about another.
func link(index int, name, kind string, master int) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index, Name: name, MasterIndex: master}, LinkType: kind}
}

// switched is a host with two bridges of Open vSwitch and one of the kernel's.
func switched() []netlink.Link {
	return []netlink.Link{
		link(1, "lo", "", 0),
		link(2, "ovs-system", "openvswitch", 0),
		link(3, "br-int", "openvswitch", 0),
		link(4, "tap1", "tun", 2),
		link(5, "br-ex", "openvswitch", 0),
		link(6, "eth0", "", 2),
		link(7, "vxlan_sys_4789", "vxlan", 2),
		link(8, "docker0", "bridge", 0),
		link(9, "veth1", "veth", 8),
		link(10, "bond0", "bond", 0),
		link(11, "eth1", "", 10),
		link(12, "new", "veth", 2),
	}
}

func ports() []ovsdbtest.Port {
	return []ovsdbtest.Port{
		{Bridge: "br-int", Type: "internal", Devices: []string{"br-int"}},
		{Bridge: "br-int", Devices: []string{"tap1"}},
		{Bridge: "br-int", Type: "vxlan", Devices: []string{"vx0"}},
		{Bridge: "br-ex", Type: "internal", Devices: []string{"br-ex"}},
		{Bridge: "br-ex", Devices: []string{"eth0"}},
	}
}

func expectBridges(t *testing.T, got, want map[int]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("bridges %v, want %v", got, want)
	}
}

func TestBridgesOfOpenVSwitch(t *testing.T) {
	db := ovsdbtest.Serve(t, ports()...)
	s := &switches{socket: db.Socket}
	if !s.ask(portsOf(switched()), time.Now) {
		t.Fatal("nothing was learned")
	}
	expectBridges(t, bridgesOf(switched(), s.known()), map[int]string{
		3: "br-int", 4: "br-int", 5: "br-ex", 6: "br-ex", 7: "br-int", 8: "docker0", 9: "docker0", 12: "ovs-system",
	})
	// An internal port that was moved to a namespace.
	moved := []netlink.Link{link(1, "lo", "", 0), link(3, "br-int", "openvswitch", 0), link(20, "p1", "openvswitch", 0)}
	expectBridges(t, bridgesOf(moved, s.known()), map[int]string{3: "br-int", 20: "ovs-system"})
}

// A datapath that was made without the daemon is the bridge of its ports.
func TestDatapathAsABridge(t *testing.T) {
	links := []netlink.Link{link(1, "dp0", "openvswitch", 0), link(2, "va", "veth", 1), link(3, "vb", "veth", 1), link(4, "vc", "veth", 0)}
	expectBridges(t, bridgesOf(links, nil), map[int]string{1: "dp0", 2: "dp0", 3: "dp0"})
}

func TestBridgesWithoutTheDatabase(t *testing.T) {
	s := &switches{socket: t.TempDir() + "/none"}
	if s.ask(portsOf(switched()), time.Now) {
		t.Error("something was learned from nobody")
	}
	unknown := map[int]string{8: "docker0", 9: "docker0"}
	for _, port := range []int{3, 4, 5, 6, 7, 12} {
		unknown[port] = "ovs-system"
	}
	expectBridges(t, bridgesOf(switched(), s.known()), unknown)
	one := []netlink.Link{switched()[0], switched()[1], switched()[2], switched()[3], switched()[6]}
	expectBridges(t, bridgesOf(one, nil), map[int]string{3: "br-int", 4: "br-int", 7: "br-int"})
	moved := []netlink.Link{link(1, "lo", "", 0), link(3, "eth0", "openvswitch", 0)}
	expectBridges(t, bridgesOf(moved, nil), map[int]string{3: "ovs-system"})
}

// The database is asked for ports that it has not named, but not all the time.
func TestDatabaseIsAskedSeldom(t *testing.T) {
	db := ovsdbtest.Serve(t, ports()...)
	c := &testClock{}
	s := &switches{socket: db.Socket}
	for _, step := range []struct {
		what    string
		ports   []string
		after   time.Duration
		queries int32
		learned bool
	}{
		{"no port", nil, 0, 0, false},
		{"a port", []string{"tap1"}, 0, 1, true},
		{"the same", []string{"tap1"}, Steady, 1, false},
		{"a new port", []string{"tap1", "tap2"}, Steady - 1, 2, false},
		{"again", []string{"tap2"}, Steady - 1, 2, false},
		{"later", []string{"tap2"}, 1, 3, false},
		{"a known one, soon", []string{"tap1"}, ovsMaxAge - 1, 3, false},
		{"a known one, late", []string{"tap1"}, 1, 4, false},
	} {
		c.advance(step.after)
		if learned := s.ask(step.ports, c.now); learned != step.learned || db.Queries.Load() != step.queries {
			t.Errorf("%s: learned %v after %d queries, want %v after %d", step.what, learned, db.Queries.Load(), step.learned, step.queries)
		}
	}
	db.Set(ovsdbtest.Port{Bridge: "br-ex", Devices: []string{"tap1"}})
	c.advance(ovsMaxAge)
	if !s.ask([]string{"tap1"}, c.now) || s.known().Of("tap1") != "br-ex" {
		t.Errorf("a port that was moved: %+v", s.known())
	}
	db.Answer("nothing")
	c.advance(ovsMaxAge)
	if s.ask([]string{"tap1"}, c.now) || s.known().Of("tap1") != "br-ex" || s.changes.Load() != 2 {
		t.Errorf("after an answer that is not valid: %+v, %d changes", s.known(), s.changes.Load())
	}
}

// Namespaces are scanned again when the database has another answer.
func TestAnotherAnswerIsAnotherGeneration(t *testing.T) {
	db := ovsdbtest.Serve(t, ports()...)
	v, c := newInventory(t, Config{OVSDB: db.Socket})
	before := v.generation()
	if !v.switches.ask([]string{"tap1"}, c.now) || v.generation() == before {
		t.Error("the same generation after an answer")
	}
}

// Where there is no Open vSwitch, nobody is asked.
func TestNoPortNoQuery(t *testing.T) {
	db := ovsdbtest.Serve(t, ports()...)
	v, _ := newInventory(t, Config{OVSDB: db.Socket})
	ns := create(t, "noports")
	addBridge(t, ns, "br0")
	v.NetNS(ns.Inode())
	if n := db.Queries.Load(); n != 0 {
		t.Errorf("%d queries", n)
	}
}

// A port of Open vSwitch is on the bridge that the database names. If a tenant has bridges,
// one that it does not name may be on any of them.
func TestSwitchPortsOfTenants(t *testing.T) {
	links := switched()
	links[3] = &netlink.Tuntap{LinkAttrs: *links[3].Attrs(), Mode: netlink.TUNTAP_MODE_TAP}
	bridges := map[int]string{3: "br-int", 4: "br-int", 5: "br-ex", 6: "br-ex", 7: "ovs-system", 12: "ovs-system"}
	w := newWorld(t, Config{})
	for _, test := range []struct {
		set  *tenant.Set
		want map[uint32]string
	}{
		{
			setOf(t, nil, tenant.Tenant{ID: "red", Bridges: []string{"br-int"}}),
			map[uint32]string{3: "red", 4: "red", 5: nobody, 6: nobody, 7: unsure, 8: nobody, 12: unsure},
		},
		{
			setOf(t, nil, tenant.Tenant{ID: "red", Ports: []string{"new"}}),
			map[uint32]string{3: nobody, 4: unsure, 5: nobody, 6: nobody, 7: nobody, 8: nobody, 12: "red"},
		},
	} {
		w.v.SetTenants(test.set)
		snap := &snapshot{netns: w.v.NetNS(w.hyp.Inode()), found: true, listed: w.clock.now()}
		l := listing{links: links, ports: portsOf(links), bridges: bridges}
		l.unplaced = map[int]bool{7: true, 12: true}
		snap.devices = merge(snap, snap, l, snap.listed)
		w.v.attribute(w.hyp.Inode(), snap, snap.listed)
		for index, want := range test.want {
			if k := snap.devices[index]; ownerOf(k.device) != want {
				t.Errorf("%s belongs to %s, want %s", k.device.Name, ownerOf(k.device), want)
			}
		}
	}
	db := ovsdbtest.Serve(t, ports()...)
	s := &switches{socket: db.Socket}
	s.ask(portsOf(links), time.Now)
	l := listing{links: links, ports: portsOf(links), bridges: bridgesOf(links, s.known())}
	if got := unplaced(l, s.known()); !maps.Equal(got, map[int]bool{12: true}) {
		t.Errorf("not known for certain: %v", got)
	}
	l.bridges = bridgesOf(links, nil)
	if got := unplaced(l, nil); len(got) != 6 {
		t.Errorf("not known for certain without the database: %v", got)
	}
}

// A port that was moved is on a bridge that is not known until the database has been asked.
func TestMovedSwitchPort(t *testing.T) {
	links, s := switched(), &space{}
	list := func(touched ...uint32) map[int]bool {
		l := listing{links: links, ports: portsOf(links), unplaced: map[int]bool{}}
		some := map[uint32]bool{}
		for _, index := range touched {
			some[index] = false
		}
		s.unask(l, notified{all: false, some: some})
		return l.unplaced
	}
	for _, test := range []struct {
		touched []uint32
		want    map[int]bool
	}{
		{nil, map[int]bool{}},
		{[]uint32{4, 9}, map[int]bool{4: true}}, // veth1 is on another kind of bridge
		{nil, map[int]bool{4: true}},
		{[]uint32{6}, map[int]bool{4: true, 6: true}},
	} {
		if got := list(test.touched...); !maps.Equal(got, test.want) {
			t.Errorf("after %v: %v, want %v", test.touched, got, test.want)
		}
	}
	db, c := ovsdbtest.Serve(t, ports()...), &testClock{}
	sw := &switches{socket: db.Socket}
	sw.ask(portsOf(links), c.now)
	db.Set(ovsdbtest.Port{Bridge: "br-ex", Devices: []string{"tap1"}})
	if sw.askAgain(c.now) {
		t.Error("asked all the time")
	}
	c.advance(Steady)
	if !sw.askAgain(c.now) || sw.known().Of("tap1") != "br-ex" {
		t.Errorf("after the move: %+v", sw.known())
	}
	c.advance(Steady)
	if !sw.askAgain(c.now) {
		t.Error("an answer that is the same is one")
	}
	db.Answer("nothing")
	c.advance(Steady)
	if sw.askAgain(c.now) {
		t.Error("no answer is one")
	}
}
