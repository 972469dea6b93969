// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/netns"
	"github.com/dwelltrace/dwell/internal/tenant"
)

func setOf(t *testing.T, shared []string, tenants ...tenant.Tenant) *tenant.Set {
	t.Helper()
	return setWith(t, shared, nil, tenants...)
}

func setWith(t *testing.T, shared, uplinks []string, tenants ...tenant.Tenant) *tenant.Set {
	t.Helper()
	s, err := tenant.NewSet(tenants, shared, uplinks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nobody is what a test calls a device that all tenants may see, unsure one that none sees.
const (
	nobody = "nobody"
	unsure = "unsure"
)

func ownerOf(d *trace.Device) string {
	switch {
	case d.Unattributed && d.Tenant != "":
		return "both"
	case d.Unattributed:
		return unsure
	case d.Tenant != "":
		return d.Tenant
	}
	return nobody
}

// expectOwner expects the device to belong to somebody, as seen when the clock has moved on.
func expectOwner(t *testing.T, v *Inventory, at trace.Place, want string) *trace.Device {
	t.Helper()
	d := v.Device(at.NetNS, at.Index)
	if got := ownerOf(d); got != want {
		t.Errorf("%s in %s belongs to %s, want %s", d.Name, d.NetNS.Name, got, want)
	}
	return d
}

// expectSpace expects a namespace to belong to somebody: an ID, "shared" or "private".
func expectSpace(t *testing.T, v *Inventory, inode uint32, want string) *trace.NetNS {
	t.Helper()
	ns := v.NetNS(inode)
	got := ns.Tenant
	switch {
	case ns.Shared && ns.Tenant != "":
		got = "both"
	case ns.Shared:
		got = "shared"
	case ns.Tenant == "":
		got = "private"
	}
	if got != want {
		t.Errorf("namespace %s belongs to %s, want %s", ns.Name, got, want)
	}
	return ns
}

// world is an inventory with a hypervisor.
type world struct {
	*testing.T
	v     *Inventory
	clock *testClock
	hyp   *netns.NS
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	hyp := create(t, "hyp")
	cfg.Hypervisors = []uint32{hyp.Inode()}
	v, c := newInventory(t, cfg)
	return &world{t, v, c, hyp}
}

// later lets so much time pass that another look is possible.
func (w *world) later() { w.clock.advance(w.v.cfg.MaxAge) }

func (w *world) settle() { w.clock.advance(w.v.cfg.Settle + time.Second) }

// device makes a device in the hypervisor.
func (w *world) device(name string, link netlink.Link) trace.Place {
	w.Helper()
	return add(w.T, w.hyp, name, link)
}

// guest makes a namespace with a pair to the hypervisor, whose end there has the name.
func (w *world) guest(suffix, port string) (ns *netns.NS, there, here trace.Place) {
	w.Helper()
	ns = create(w.T, suffix)
	there, here = pairOf(w.T, w.hyp, port, ns, "eth0")
	return ns, there, here
}

func (w *world) enslave(port, bridge string) {
	w.Helper()
	inside(w.T, w.hyp, func(nl *netlink.Handle) error {
		b, err := nl.LinkByName(bridge)
		if err != nil {
			return err
		}
		p, err := nl.LinkByName(port)
		if err != nil {
			return err
		}
		return nl.LinkSetMaster(p, b)
	})
}

func addTap(t *testing.T, ns *netns.NS, name string) trace.Place {
	t.Helper()
	link := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TAP}
	if err := ns.Do(func() error { return netlink.LinkAdd(link) }); err != nil {
		t.Fatal(err)
	}
	return placeOf(t, ns, name)
}

func TestOwners(t *testing.T) {
	libvirt := t.TempDir()
	w := newWorld(t, Config{LibvirtDir: libvirt})
	red, redPort, redEnd := w.guest("red", "p-red")
	blue, bluePort, blueEnd := w.guest("blue", "p-blue")
	_, plainPort, plainEnd := w.guest("plain", "p-plain")
	_, globPort, _ := w.guest("glob", "tap-red-7")
	_, altPort, _ := w.guest("alt", "p-alt")
	inside(t, w.hyp, func(nl *netlink.Handle) error {
		link, err := nl.LinkByName("p-alt")
		if err != nil {
			return err
		}
		return nl.LinkAddAltName(link, "the-port-of-blue-that-has-a-long-name")
	})
	bridge := w.device("br-blue", &netlink.Bridge{})
	nic, uplink := w.device("nic", &netlink.Ifb{}), w.device("uplink", &netlink.Ifb{})
	w.enslave("uplink", "br-blue")
	w.enslave("p-red", "br-blue") // a port's own owner comes first
	vm, someTap, neutron := addTap(t, w.hyp, "vnet0"), addTap(t, w.hyp, "vnet1"), addTap(t, w.hyp, "tap3f1c9a52-8d")
	copyRecord(t, filepath.Join(libvirt, "web-1.xml"), "vnet0")
	copyRecord(t, filepath.Join(libvirt, "other.xml"), "vnet1")

	w.v.SetTenants(setOf(t, nil,
		tenant.Tenant{ID: "red", NetNS: []string{red.Name()}, Ports: []string{"tap-red-*"}, VMs: []string{"web-*"}},
		tenant.Tenant{
			ID: "blue", Ports: []string{"p-blue", "*-of-blue-*"}, Bridges: []string{"br-blue"},
			NeutronPorts: []string{"3f1c9a52-8d3e-4b61-9c0a-2f6f6e0e7a11"},
		},
	))
	w.later()
	for _, want := range []struct {
		at    trace.Place
		owner string
	}{
		{redPort, "red"},
		{redEnd, "red"},
		{bluePort, "blue"},
		{blueEnd, "blue"},
		{plainPort, unsure}, // whose guest it leads to is not known
		{plainEnd, nobody},  // in a namespace that is nobody's
		{globPort, "red"},
		{altPort, "blue"},
		{bridge, "blue"},
		{uplink, "blue"},
		{nic, nobody},
		{vm, "red"},
		{someTap, unsure},
		{neutron, "blue"},
		{trace.Place{NetNS: w.hyp.Inode(), Index: 1}, nobody},
		{trace.Place{NetNS: w.hyp.Inode(), Index: 4711}, unsure},
		{trace.Place{NetNS: red.Inode(), Index: 4711}, "red"},
	} {
		d := expectOwner(t, w.v, want.at, want.owner)
		if again := w.v.Device(want.at.NetNS, want.at.Index); again != d {
			t.Errorf("%s: another pointer though nothing changed", d.Name)
		}
	}
	expectSpace(t, w.v, w.hyp.Inode(), "shared")
	expectSpace(t, w.v, red.Inode(), "red")
	expectSpace(t, w.v, blue.Inode(), "blue")
	expectSpace(t, w.v, plainEnd.NetNS, "private")
	expectSpace(t, w.v, globPort.NetNS, "shared")
	if r := w.v.Tenants(); len(r.Conflicts) != 0 || len(r.Unmatched) != 0 || r.Count != 2 {
		t.Errorf("%+v", r)
	}
	w.v.SetTenants(nil)
	for _, at := range []trace.Place{redPort, redEnd, bridge, plainPort, {NetNS: w.hyp.Inode(), Index: 4711}} {
		if d := expectOwner(t, w.v, at, nobody); d.NetNS.Shared {
			t.Errorf("%s is shared without tenants", d.NetNS.Name)
		}
	}
}

// copyRecord writes a record like libvirt's, of a domain with one interface.
func copyRecord(t *testing.T, path, device string) {
	t.Helper()
	record, err := os.ReadFile("testdata/domain.xml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(record), "DEVICE", device)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// What two tenants claim is nobody's, and is reported; so is a claim to a hypervisor.
func TestConflicts(t *testing.T) {
	w := newWorld(t, Config{})
	both, bothPort, bothEnd := w.guest("both", "p-1")
	_, twice, end := w.guest("twice", "p-2")
	_, crossed, crossedEnd := w.guest("cross-red", "p-blue")
	w.v.SetTenants(setOf(t, nil,
		tenant.Tenant{ID: "red", NetNS: []string{both.Name(), "*-cross-red", w.hyp.Name()}, Ports: []string{"p-[23]", "absent"}},
		tenant.Tenant{ID: "blue", NetNS: []string{"*-both"}, Ports: []string{"p-2", "p-blue"}},
	))
	w.later()
	for _, at := range []trace.Place{bothPort, bothEnd, twice, crossed} {
		expectOwner(t, w.v, at, unsure)
	}
	expectOwner(t, w.v, crossedEnd, "red")
	expectOwner(t, w.v, end, nobody)
	expectSpace(t, w.v, both.Inode(), "private")
	expectSpace(t, w.v, w.hyp.Inode(), "shared")
	r := w.v.Tenants()
	var texts []string
	for _, c := range r.Conflicts {
		texts = append(texts, c.String())
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"network namespace " + both.Name() + " belongs to nobody, because tenant",
		"device p-2 in network namespace " + w.hyp.Name() + " belongs to nobody",
		"device p-blue in network namespace " + w.hyp.Name() + " belongs to nobody",
		w.hyp.Name() + " is a hypervisor, and so does not belong to tenant red",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	if len(texts) != 4 || !slices.Equal(r.Unmatched, []tenant.Ref{{Tenant: "red", Field: "ports", Name: "absent"}}) {
		t.Errorf("%d conflicts, unmatched %v:\n%s", len(texts), r.Unmatched, all)
	}
}

// There may be ports in a shared namespace, and only there and in hypervisors.
func TestSharedNamespaces(t *testing.T) {
	w := newWorld(t, Config{})
	router, _, routerEnd := w.guest("router", "p-router")
	guest := create(t, "guest")
	port, _ := pairOf(t, router, "port-red", guest, "eth0")
	trap := add(t, guest, "port-red", &netlink.Ifb{})
	w.v.SetTenants(setOf(t, []string{"*-router", "*-absent"}, tenant.Tenant{ID: "red", Ports: []string{"port-red"}}))
	w.later()
	expectSpace(t, w.v, router.Inode(), "shared")
	expectOwner(t, w.v, routerEnd, nobody)
	expectOwner(t, w.v, port, "red")
	expectOwner(t, w.v, trap, "red") // because of its namespace
	expectSpace(t, w.v, guest.Inode(), "red")
	if u := w.v.Tenants().Unmatched; len(u) != 1 || u[0].Name != "*-absent" {
		t.Errorf("unmatched %v", u)
	}
	other := create(t, "other")
	namesake := add(t, other, "port-red", &netlink.Ifb{})
	w.later()
	expectOwner(t, w.v, namesake, nobody)
	expectSpace(t, w.v, other.Inode(), "private")
}

// A namespace is a tenant's that is reached only through its ports.
func TestDerivedOwners(t *testing.T) {
	w := newWorld(t, Config{})
	one, _, _ := w.guest("one", "red-1")
	two, _, _ := w.guest("two", "red-2")
	pairOf(t, w.hyp, "red-2b", two, "eth1")
	mixed, _, _ := w.guest("mixed", "red-3")
	pairOf(t, w.hyp, "blue-3", mixed, "eth1")
	managed, _, _ := w.guest("managed", "red-4")
	pairOf(t, w.hyp, "mgmt", managed, "eth1")
	nested := create(t, "nested")
	pairOf(t, one, "in", nested, "eth0")
	owned := create(t, "owned-blue")
	beside, _, _ := w.guest("beside", "red-5")
	pairOf(t, beside, "to-blue", owned, "eth0")
	nic := w.device("nic", &netlink.Ifb{})
	stacked, _, _ := w.guest("stacked", "red-6")
	add(t, w.hyp, "mv", &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{ParentIndex: int(nic.Index)}, Mode: netlink.MACVLAN_MODE_BRIDGE})
	move(t, w.hyp, stacked, "mv")
	strange, _, _ := w.guest("strange", "red-7")
	nowhere := create(t, "nowhere")
	pairOf(t, strange, "eth1", nowhere, "eth0")
	if err := netns.Delete(nowhere.Name()); err != nil { // the descriptor keeps it
		t.Fatal(err)
	}
	w.v.SetTenants(setOf(t, nil,
		tenant.Tenant{ID: "red", Ports: []string{"red-*"}},
		tenant.Tenant{ID: "blue", Ports: []string{"blue-*"}, NetNS: []string{"*-owned-blue"}},
	))
	w.later()
	for _, want := range []struct {
		ns    *netns.NS
		owner string
	}{
		{one, "red"},
		{two, "red"},
		{mixed, "private"},
		{managed, "private"},
		{nested, "private"},
		{owned, "blue"},
		{beside, "private"},
		{stacked, "private"},
		{strange, "private"}, // it may be reached through anything
	} {
		expectSpace(t, w.v, want.ns.Inode(), want.owner)
	}
	// A second way in, of somebody else, makes it nobody's.
	pairOf(t, w.hyp, "blue-1", one, "eth1")
	w.later()
	expectSpace(t, w.v, one.Inode(), "private")
	expectOwner(t, w.v, placeOf(t, one, "eth0"), unsure) // for a while
}

// A pair into a namespace that cannot be found is nobody's, and no tenant sees it.
func TestHiddenGuest(t *testing.T) {
	w := newWorld(t, Config{})
	hidden, port, _ := w.guest("hidden", "p-1")
	if err := netns.Delete(hidden.Name()); err != nil { // the descriptor keeps it
		t.Fatal(err)
	}
	w.v.SetTenants(setOf(t, nil, tenant.Tenant{ID: "red", NetNS: []string{"*-shown"}}))
	w.later()
	expectOwner(t, w.v, port, unsure)
	bind(t, hidden, create(t, "shown").Name())
	w.later()
	expectOwner(t, w.v, port, "red")
}

// An uplink is for all to see, whatever it leads to and wherever it is a port, and is never a
// tenant's.
func TestUplinks(t *testing.T) {
	w := newWorld(t, Config{})
	outside, up, _ := w.guest("outside", "ens3")
	_, contested, _ := w.guest("contested", "ens4")
	blue, strange, _ := w.guest("blue", "ens5")
	w.device("br-red", &netlink.Bridge{})
	w.enslave("ens3", "br-red")
	w.v.SetTenants(setWith(t, nil, []string{"ens*", "absent"},
		tenant.Tenant{ID: "red", Ports: []string{"*4"}, Bridges: []string{"br-red"}},
		tenant.Tenant{ID: "blue", NetNS: []string{blue.Name()}},
	))
	w.later()
	expectOwner(t, w.v, up, nobody)
	expectOwner(t, w.v, contested, unsure)
	expectOwner(t, w.v, strange, unsure)
	expectSpace(t, w.v, outside.Inode(), "private")
	r := w.v.Tenants()
	if len(r.Conflicts) != 2 || !strings.Contains(r.Conflicts[0].String(), "all tenants (uplinks: ens*) and tenant red (ports: *4)") {
		t.Errorf("conflicts %v", r.Conflicts)
	}
	if len(r.Unmatched) != 1 || r.Unmatched[0].Name != "absent" {
		t.Errorf("unmatched %v", r.Unmatched)
	}
}
