// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/dwelltrace/dwell/correlate/trace"
	"github.com/dwelltrace/dwell/internal/tenant"
)

// stack makes a device above another one, as a VLAN's is, for which not every kernel has a module.
func (w *world) stack(name string, on trace.Place) trace.Place {
	w.Helper()
	return w.device(name, &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{ParentIndex: int(on.Index)}, Mode: netlink.MACVLAN_MODE_BRIDGE})
}

// What is stacked on a tenant's port, or on its bridge, is the tenant's: a trunk to a guest has
// a device for each VLAN.
func TestWhatIsStackedOnAPort(t *testing.T) {
	w := newWorld(t, Config{MinInterval: time.Microsecond})
	_, port, _ := w.guest("red", "red-1")
	_, strange, _ := w.guest("plain", "p-plain")
	nic := w.device("nic", &netlink.Ifb{})
	bridge := w.device("br-blue", &netlink.Bridge{})
	onPort := w.stack("trunk.5", port)
	twice := w.stack("twice", onPort)
	named, bridged := w.stack("blue-9", nic), w.stack("bridged", strange)
	w.enslave("bridged", "br-blue")
	onTap := w.stack("trunk.6", addTap(t, w.hyp, "vnet1"))
	onBridge, onNIC := w.stack("gateway", bridge), w.stack("on-nic", nic)
	w.v.SetTenants(setOf(t, nil,
		tenant.Tenant{ID: "red", Ports: []string{"red-*"}},
		tenant.Tenant{ID: "blue", Ports: []string{"blue-*"}, Bridges: []string{"br-blue"}},
	))
	w.later()
	expectOwner(t, w.v, onPort, "red")
	expectOwner(t, w.v, twice, "red")
	expectOwner(t, w.v, named, "blue")
	expectOwner(t, w.v, bridged, "blue")
	expectOwner(t, w.v, strange, unsure)
	expectOwner(t, w.v, onTap, unsure) // as the tap is
	expectOwner(t, w.v, onBridge, "blue")
	expectOwner(t, w.v, onNIC, nobody)
	rename(t, w.hyp, "red-1", "blue-1")
	w.soon()
	expectOwner(t, w.v, twice, unsure)
	w.settle()
	expectOwner(t, w.v, twice, "blue")
}

// When a bridge is renamed, or a port, all is in doubt that belongs to somebody because of it,
// even before the next look.
func TestWhatHangsOnARenamedDevice(t *testing.T) {
	w := newWorld(t, Config{MinInterval: 10 * time.Second, MaxAge: time.Hour})
	w.clock.advance(time.Hour)
	w.device("br-red", &netlink.Bridge{})
	onBridge, port, other := w.device("p1", &netlink.Ifb{}), w.device("red-1", &netlink.Ifb{}), w.device("red-2", &netlink.Ifb{})
	w.enslave("p1", "br-red")
	onPort := w.stack("trunk.5", port)
	w.v.SetTenants(redAndBlue(t))
	expectOwner(t, w.v, onBridge, "red")
	expectOwner(t, w.v, onPort, "red")
	rename(t, w.hyp, "br-red", "br-blue")
	w.clock.advance(checkInterval)
	expectOwner(t, w.v, onBridge, unsure)
	expectOwner(t, w.v, onPort, "red")
	rename(t, w.hyp, "red-1", "blue-1")
	w.clock.advance(checkInterval)
	expectOwner(t, w.v, onPort, unsure)
	expectOwner(t, w.v, other, "red")
	rename(t, w.hyp, "br-blue", "br-red")
	rename(t, w.hyp, "blue-1", "red-1")
	w.clock.advance(w.v.cfg.MinInterval)
	for _, at := range []trace.Place{onBridge, onPort} {
		expectOwner(t, w.v, at, unsure)
	}
	w.settle()
	for _, at := range []trace.Place{onBridge, onPort} {
		expectOwner(t, w.v, at, "red")
	}
}
