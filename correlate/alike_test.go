// SPDX-License-Identifier: Apache-2.0

package correlate_test

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/dwelltrace/dwell/correlate"
	"github.com/dwelltrace/dwell/correlate/event"
)

// Two tenants' virtual machines have the same addresses, and their tools send the same bytes
// at the same time. Their devices are all in one namespace.
func TestGuestsThatAreAlike(t *testing.T) {
	for name, payload := range map[string]string{"nothing": "", "Windows": "abcdefghijklmnop", "blackbox_exporter": "Prometheus Black"} {
		s := newSim()
		taps := []dev{tap1, tap2}
		var uplinks []dev
		var requests, replies []*packet
		for i, tap := range taps {
			uplinks = append(uplinks, dev{ns: hypervisor, index: 50 + uint32(i), typ: "vxlan", flags: event.BridgePort})
			p := s.request(1)
			p.payload = [event.PayloadPrefix]byte{}
			copy(p.payload[:], payload)
			p.length, p.ttl, p.skb = uint16(2*len(payload)), 64, uint64(i+1)<<16
			p.at(tap, event.NetifReceiveSKB)
			requests = append(requests, p)
		}
		for i, p := range requests {
			p.at(uplinks[i], event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		}
		for i, p := range requests {
			r := p.reply()
			r.at(uplinks[i], event.NAPIGROReceiveEntry, event.NetifReceiveSKB)
			replies = append(replies, r)
		}
		for i, r := range replies {
			r.at(taps[i], event.NetDevQueue, event.NetDevStartXmit, event.NetDevXmit)
		}
		traces, st := run(s.events, correlate.Options{})
		if len(traces) != 2 || st.Complete != 2 || st.Duplicates != 0 || traces[0].ID == traces[1].ID {
			t.Errorf("%s: %+v\n%s", name, st, renderAll(traces, st))
		}
	}
}

// Roads on which a packet comes in, or dies where it was made, which two pings with the same
// bytes take at a time.
var alike = []string{"through-a-transit-host", "router-with-two-uplinks", "tap-guest-pings", "macvtap-guest-is-pinged", "dropped-where-made"}

// Pings with the same bytes are two, whether their
// identifiers differ or their addresses are those of other networks.
func TestPassingPingsThatAreAlike(t *testing.T) {
	for _, g := range slices.Concat(golden, roads) {
		if !slices.Contains(alike, g.name) {
			continue
		}
		for _, payload := range []string{"abcdefghijklmnop", "Prometheus Black"} {
			s := newSim()
			g.what(s)
			for i := range s.events {
				copy(s.events[i].Payload[:], payload)
			}
			otherID := slices.Clone(s.events)
			for i := range otherID {
				otherID[i].ID += 500
			}
			for name, other := range map[string][]event.Event{"identifiers": otherID, "networks": in(s.events, 1)} {
				for i := range other {
					other[i].SKB += 1 << 40
					other[i].Time += 7
				}
				both := slices.Concat(s.events, other)
				slices.SortFunc(both, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
				traces, st := run(both, correlate.Options{})
				if len(traces) != 2 || traces[0].ID == traces[1].ID || st.Duplicates != 0 {
					t.Errorf("%s, other %s, %q: %+v\n%s", g.name, name, payload, st, renderAll(traces, st))
				}
			}
		}
	}
}

// What many hosts answer is one ping, with constant bytes, too; also if some answer late.
func TestBroadcastOfConstantBytes(t *testing.T) {
	for _, g := range slices.Concat(roads, copies) {
		if g.name != "many-replies" && g.name != "broadcast-to-guests" && g.name != "broadcast-to-virtual-machines" {
			continue
		}
		s := newSim()
		g.what(s)
		for i := range s.events {
			s.events[i].Payload, s.events[i].PayloadLen = [event.PayloadPrefix]byte{}, 0
		}
		traces, st := run(s.events, correlate.Options{})
		if len(traces) != 1 || st.Complete != 1 || st.Duplicates == 0 {
			t.Errorf("%s: %+v\n%s", g.name, st, renderAll(traces, st))
		}
		late := s.events[len(s.events)-1]
		late.Type, late.SKB, late.Hook = event.EchoReply, 1, event.NAPIGROReceiveEntry
		late.Src, late.Dst = event.AddressFrom(netip.MustParseAddr("192.168.0.77")), event.AddressFrom(guestAddr)
		c := collect(correlate.Options{})
		c.addAll(s.events)
		c.Advance(s.end() + uint64(time.Minute))
		late.Time += uint64(60 * time.Millisecond)
		c.Add(&late)
		c.Flush()
		if st := c.Stats(); st.Late != 1 || len(c.traces) != 1 {
			t.Errorf("%s: late reply: %+v", g.name, st)
		}
	}
}
