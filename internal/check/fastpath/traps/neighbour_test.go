// SPDX-License-Identifier: Apache-2.0

package traps

import "testing"

// TestRoutedByBridge has the NIC belong to a bridge that has the host's address: neighbours are the
// bridge's, and nobody answers the NIC when it asks for them.
func TestRoutedByBridge(t *testing.T) {
	l := newLab(t)
	l.run(l.hv, "ip link add br-ext type bridge")
	l.run(l.hv, "ip link set br-ext up")
	l.run(l.hv, "ip link set ens3 master br-ext")
	l.uplink("br-ext")
	l.start(0)
	guest, out := l.sockets(outAddr)
	l.talk(guest, out)
	for range 50 {
		if !said(guest, out) {
			t.Fatalf("a packet is lost; neighbours:\n%s", l.run(l.hv, "ip neigh"))
		}
	}
	l.nothingDiffers()

	// The one out there gets another MAC, which the bridge's neighbours are told of.
	l.run(l.out, "ip link set eth0 address 02:00:00:00:0e:77")
	l.run(l.hv, "ip neigh replace "+outAddr+" lladdr 02:00:00:00:0e:77 dev br-ext")
	// What is sent before that is noticed still goes to the old one.
	l.until("the new one is reached", func() bool { return saidWithin(guest, out, moment) })
	l.talk(guest, out)
}
