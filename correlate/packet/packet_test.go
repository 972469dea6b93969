// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/event"
	"github.com/dwelltrace/dwell/correlate/packet"
	"github.com/dwelltrace/dwell/correlate/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The namespaces of the tests.
const guest, router, server uint32 = 1, 2, 3

// devices are known by namespace and index.
var devices = map[trace.Place]*trace.Device{}

func device(ns, index uint32, name, typ string, lower ...trace.Place) trace.Place {
	d := &trace.Device{NetNS: &trace.NetNS{Inode: ns}, Index: index, Name: name, Type: typ}
	if len(lower) > 0 {
		d.Lower = lower[0]
	}
	devices[d.Place()] = d
	return d.Place()
}

var (
	eth0 = device(guest, 1, "eth0", "veth")
	va   = device(router, 1, "va", "veth")
	vb   = device(router, 2, "vb", "veth")
	eth1 = device(server, 1, "eth1", "veth")
	nic  = device(router, 3, "nic", "")
	mv   = device(guest, 4, "mv", "macvlan", nic)
	tap  = device(router, 5, "tap", "tun")
	vx   = device(guest, 6, "vx", "vxlan")
	lo   = device(router, 7, "lo", "")
)

type names struct{}

func (names) Device(netns, ifindex uint32) *trace.Device {
	if d := devices[trace.Place{NetNS: netns, Index: ifindex}]; d != nil {
		return d
	}
	return &trace.Device{NetNS: &trace.NetNS{Inode: netns}, Index: ifindex, Name: fmt.Sprint("if", ifindex)}
}

func (names) DropReason(code uint32) string { return fmt.Sprint("reason", code) }

// datagram is a UDP packet on its way: nothing in its events says that it is an echo.
type datagram struct {
	events []*event.Event
	flags  event.Flags
	skb    uint64
	ttl    uint8
}

func (d *datagram) at(p trace.Place, hooks ...event.Hook) {
	for _, h := range hooks {
		d.events = append(d.events, &event.Event{
			Time: uint64(100 * (1 + len(d.events))), NetNS: p.NetNS, IfIndex: p.Index, Hook: h,
			SKB: d.skb, TTL: d.ttl, Flags: d.flags,
		})
	}
}

func (d *datagram) cross(from, to trace.Place) {
	d.at(from, event.NetDevQueue, event.NetDevStartXmit)
	d.flags = 0
	d.at(to, event.NetifRx, event.NetifReceiveSKB)
	for _, ev := range d.events[len(d.events)-2:] {
		ev.Flags |= event.Paired
		ev.Peer = event.Place{NetNS: from.NetNS, IfIndex: from.Index}
	}
	d.flags = event.Received
}

func render(j *packet.Journey) string {
	var b strings.Builder
	for i := range j.Leaves {
		l := &j.Leaves[i]
		fmt.Fprintf(&b, "%s %s..%s %d..%d\n", l.Kind,
			names{}.Device(l.From.NetNS, l.From.IfIndex).Name, names{}.Device(l.To.NetNS, l.To.IfIndex).Name, l.From.Time, l.To.Time)
	}
	return b.String()
}

// A packet that nobody answers has a journey all the same.
func TestJourneyOfUDP(t *testing.T) {
	d := datagram{skb: 0x1000, ttl: 64}
	d.cross(eth0, va)
	d.ttl--
	d.cross(vb, eth1)
	d.at(trace.Place{NetNS: server}, event.SKBCopyDatagramIovec)
	f := packet.NewFollower(names{})
	f.Follow(d.events, nil)
	js := f.Journeys(packet.Ways{}, false)
	if len(js) != 1 || !js[0].Begun() || !js[0].Sent() || js[0].Ending() != packet.HandedOver || !js[0].Seen() {
		t.Fatalf("journeys %+v", js)
	}
	want := `transmit eth0..eth0 100..200
link eth0..va 200..300
forward va..vb 300..500
transmit vb..vb 500..600
link vb..eth1 600..700
deliver eth1..if0 700..900
`
	if diff := cmp.Diff(want, render(js[0])); diff != "" {
		t.Error(diff)
	}
}

// Where a journey may begin does not depend on the device having a hook of arrival.
func TestBegun(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    trace.Place
		hook  event.Hook
		flags event.Flags
		want  bool
	}{
		{"sent", eth0, event.NetDevQueue, 0, true},
		{"sent past the queue", eth0, event.NetDevStartXmit, 0, true},
		{"sent on", vb, event.NetDevQueue, event.Received, false},
		{"arrives on a NIC", nic, event.NAPIGROReceiveEntry, 0, true},
		{"taken up from a tap", tap, event.NetifReceiveSKB, 0, true},
		{"taken up from one end of a pair", va, event.NetifReceiveSKB, event.Paired, false},
		{"taken from a socket", va, event.SKBCopyDatagramIovec, event.Received, false},
		{"dies where it was made", eth0, event.KfreeSKB, 0, true},
		{"dies on its way", va, event.KfreeSKB, event.Received, false},
	} {
		d := datagram{skb: 1, flags: c.flags}
		d.at(c.at, c.hook)
		f := packet.NewFollower(names{})
		f.Follow(d.events, nil)
		js := f.Journeys(packet.Ways{}, false)
		if len(js) != 1 || js[0].Begun() != c.want {
			t.Errorf("%s: %d journeys, want begun %v", c.name, len(js), c.want)
		}
	}
}

// Whatever the events are, each journey is tiled, and a link is only between devices of
// which the kernel said that they are a pair.
func TestLinksAreBetweenPeers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []*event.Event
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			events = append(events, drawEvent(t))
		}
		slices.SortFunc(events, packet.ByTime)
		f := packet.NewFollower(names{})
		f.Follow(events, nil)
		for _, j := range f.Journeys(packet.Ways{Stacks: []uint32{guest}}, rapid.Bool().Draw(t, "apart")) {
			checkTiled(t, j)
			for i := range j.Leaves {
				if l := &j.Leaves[i]; l.Kind == trace.KindLink && !pair(l.From, l.To) {
					t.Fatalf("a link from %+v to %+v", l.From, l.To)
				}
			}
		}
	})
}

func pair(a, b *event.Event) bool {
	from := event.Place{NetNS: a.NetNS, IfIndex: a.IfIndex}
	if b.Flags.Has(event.Loopback) {
		return from == event.Place{NetNS: b.NetNS, IfIndex: b.IfIndex}
	}
	return b.Flags.Has(event.Paired) && b.Peer == from
}

func checkTiled(t *rapid.T, j *packet.Journey) {
	at := j.Start()
	for i := range j.Leaves {
		if j.Leaves[i].From != at {
			t.Fatalf("leaf %d begins at %+v, the one before ends at %+v", i, j.Leaves[i].From, at)
		}
		at = j.Leaves[i].To
	}
	if at != j.Last() {
		t.Fatalf("the leaves end at %+v, the journey at %+v", at, j.Last())
	}
}

func drawEvent(t *rapid.T) *event.Event {
	d := rapid.SampledFrom([]trace.Place{eth0, va, vb, eth1, nic, mv, tap, vx, lo}).Draw(t, "device")
	ev := &event.Event{
		Time: rapid.Uint64Range(1, 100).Draw(t, "time"), NetNS: d.NetNS, IfIndex: d.Index,
		Hook: rapid.SampledFrom(event.All().Of(event.Tracepoint)).Draw(t, "hook").Hook,
		SKB:  rapid.Uint64Range(0, 3).Draw(t, "buffer"), TTL: rapid.Uint8Range(0, 2).Draw(t, "ttl"),
		Depth: rapid.Uint8Range(0, 2).Draw(t, "depth"), Code: rapid.Uint32Range(0, 3).Draw(t, "code"),
		Flags: rapid.SampledFrom([]event.Flags{
			0, event.Received, event.Bridge, event.BridgePort, event.PacketSocket, event.OtherHost, event.LaterFragment,
		}).Draw(t, "flags"),
	}
	if d == lo {
		ev.Flags |= event.Loopback
	}
	if devices[d].Type == "veth" && rapid.Bool().Draw(t, "paired") {
		peer := rapid.SampledFrom([]trace.Place{eth0, va, vb, eth1}).Draw(t, "peer")
		ev.Flags, ev.Peer = ev.Flags|event.Paired, event.Place{NetNS: peer.NetNS, IfIndex: peer.Index}
	}
	return ev
}
