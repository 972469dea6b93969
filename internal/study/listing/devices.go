// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"slices"

	"github.com/dwelltrace/dwell/correlate/event"
)

// bridge is what the kernel would have said about a bridge and the paper's listings leave
// out.
type bridge struct {
	// name of the bridge's own device.
	name string
	// ports are the devices that are its ports. A namespace has the bridge if it has
	// the first of them.
	ports []string
}

// paperBridges are the bridges of the paper's topologies. Its rows "Bridge" and "NAT
// device" are the time from arrival on the first port; its text says of the bridge
// mode, the listing with brovs-br included, that ovs-br is the bridge. In the bridged
// tunnel, whose two guests are of one subnet, the bridge itself is not printed; the
// paper's row is called "For vxlan tunneling".
var paperBridges = []bridge{
	{name: "ovs-br", ports: []string{"brovsns-br", "brovs-br"}},
	{name: "ovs-nat", ports: []string{"natovsns-nat"}},
	{ports: []string{"v-br-vxns1", "vxlan0"}},
	{ports: []string{"v-br-vxns2", "vxlan0"}},
}

// flagsOf returns what the table says of a device in a namespace with the given
// devices, and the name of its bridge.
func flagsOf(device string, neighbours []string) (event.Flags, string) {
	for _, b := range paperBridges {
		switch {
		case !slices.Contains(neighbours, b.ports[0]) || device == "":
		case device == b.name:
			return event.Bridge, b.name
		case slices.Contains(b.ports, device):
			return event.BridgePort, b.name
		}
	}
	return 0, ""
}
