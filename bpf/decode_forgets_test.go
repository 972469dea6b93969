// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dwelltrace/dwell/correlate/event"
)

// Nothing of one record is left in the event that the next one is turned into.
func TestDecodeForgets(t *testing.T) {
	two := kernelRecordPartPART_ADDRESSES6 | partTunnels
	tunnel := bytesOf(kernelTunnel{Type: uint8(event.GRE), Id: 7, Src: [16]uint8{1}, Dst: [16]uint8{2}})
	addrs6 := bytesOf(kernelAddresses6{Src: [16]uint8{3, 15: 4}, Dst: [16]uint8{5, 15: 6}})
	addrs4 := bytesOf(kernelAddresses4{Src: [4]uint8{192, 0, 2, 1}, Dst: [4]uint8{192, 0, 2, 2}})
	ping := kernelRecordHead{Type: uint8(event.EchoRequest), Time: 1, Payload: [16]uint8{8}, Threshold: 9}
	of := func(hook event.Hook, flags event.Flags, depth uint8, parts kernelRecordPart, content ...[]byte) []byte {
		h := ping
		h.Hook, h.Flags, h.Depth, h.Parts = uint8(hook), uint16(flags), depth, uint8(parts)
		return join(h, content...)
	}
	acted := kernelRecordPartPART_ADDRESSES4 | kernelRecordPartPART_ACTION
	redirected := bytesOf(kernelAction{Deed: uint16(event.Redirect), Tenant: 3, Ns: 5})
	records := [][]byte{
		join(kernelRecordHead{Hook: uint8(event.NetifRx), Type: uint8(event.EchoReply), Parts: uint8(kernelRecordPartPART_ADDRESSES4)}, make([]byte, 8)),
		of(event.NetifRx, event.IPv6, 2, two, addrs6, tunnel, tunnel),
		of(event.NetifRx, 0, 1, kernelRecordPartPART_ADDRESSES4|kernelRecordPartPART_TUNNEL, addrs4, tunnel),
		of(event.NetifRx, event.Paired, 0, kernelRecordPartPART_ADDRESSES4|kernelRecordPartPART_PEER, addrs4, bytesOf(kernelPeer{Netns: 1, Ifindex: 2})),
		of(event.Acted, 0, 0, acted, addrs4, bytesOf(kernelAction{Deed: uint16(event.Firewall), Rule: 4, To: 6})),
		of(event.Acted, 0, 0, acted|kernelRecordPartPART_REWRITE, addrs4, redirected, bytesOf(kernelRewritten{Ttl: 9, Lease: 8, Netns: 7})),
	}
	for i, first := range records {
		for k, second := range records {
			var e, want event.Event
			if !decoded(first, &e) || !decoded(second, &e) || !decoded(second, &want) {
				t.Fatalf("record %d or %d is refused", i, k)
			}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Errorf("record %d after %d (-alone +after):\n%s", k, i, diff)
			}
		}
	}
}
