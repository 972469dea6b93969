// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"testing"

	"github.com/dwelltrace/dwell/correlate/event"
)

// seen is an event of a packet at a device of a namespace.
func seen(hook event.Hook, netns, ifindex uint32) event.Event {
	return event.Event{Hook: hook, NetNS: netns, IfIndex: ifindex, SKB: 1}
}

// infer returns which of the events have a peer, in order.
func infer(events ...event.Event) []event.Place {
	var p event.Pairs
	peers := make([]event.Place, 0, len(events))
	for _, ev := range events {
		p.Infer(&ev)
		if ev.Flags.Has(event.Paired) != (ev.Peer != event.Place{}) {
			panic("a pair without a peer")
		}
		peers = append(peers, ev.Peer)
	}
	return peers
}

func TestPairs(t *testing.T) {
	one, two, none := event.Place{NetNS: 1, IfIndex: 10}, event.Place{NetNS: 2, IfIndex: 20}, event.Place{}
	other := seen(event.NetifRx, 2, 20)
	other.SKB = 2
	elsewhere := seen(event.NetifRx, 2, 20)
	elsewhere.CPU = 1
	for name, tt := range map[string]struct {
		events []event.Event
		want   []event.Place
	}{
		"both ends": {
			[]event.Event{
				seen(event.NetDevStartXmit, 1, 10), seen(event.NetifRx, 2, 20), seen(event.NetDevXmit, 1, 10),
				seen(event.NetifReceiveSKB, 2, 20), seen(event.NetDevQueue, 2, 20), seen(event.NetifReceiveSKB, 1, 10),
			},
			[]event.Place{none, one, none, one, none, two},
		},
		"below a tunnel": {
			[]event.Event{
				seen(event.NetDevStartXmit, 1, 9), seen(event.NetDevStartXmit, 1, 10), seen(event.NetifRx, 2, 20),
				seen(event.NetDevXmit, 1, 10), seen(event.NetDevXmit, 1, 9),
			},
			[]event.Place{none, none, one, none, none},
		},
		"as in the paper": {
			[]event.Event{
				seen(event.NetDevStartXmit, 1, 9), seen(event.NetDevStartXmit, 1, 10), seen(event.NetifRx, 2, 20),
				seen(event.NetDevXmit, 2, 20), seen(event.NetDevXmit, 2, 20), seen(event.NetifRx, 3, 30),
			},
			[]event.Place{none, none, one, none, none, none},
		},
		"out of a tunnel": {
			[]event.Event{seen(event.NetDevStartXmit, 1, 10), seen(event.NAPIGROReceiveEntry, 2, 20)}, []event.Place{none, none},
		},
		"after the call": {
			[]event.Event{seen(event.NetDevStartXmit, 1, 10), seen(event.NetDevXmit, 1, 10), seen(event.NetifRx, 2, 20)},
			[]event.Place{none, none, none},
		},
		"loopback":       {[]event.Event{seen(event.NetDevStartXmit, 1, 1), seen(event.NetifRx, 1, 1)}, []event.Place{none, none}},
		"another packet": {[]event.Event{seen(event.NetDevStartXmit, 1, 10), other}, []event.Place{none, none}},
		"another CPU":    {[]event.Event{seen(event.NetDevStartXmit, 1, 10), elsewhere}, []event.Place{none, none}},
	} {
		got := infer(tt.events...)
		for i := range tt.want {
			if got[i] != tt.want[i] {
				t.Errorf("%s: event %d came from %v, want %v", name, i, got[i], tt.want[i])
			}
		}
	}
}

// Calls whose end is not seen are forgotten.
func TestPairsForgetCalls(t *testing.T) {
	var events []event.Event
	for i := range uint32(100) {
		events = append(events, seen(event.NetDevStartXmit, 1, 100+i))
	}
	got := infer(append(events, seen(event.NetDevStartXmit, 1, 10), seen(event.NetifRx, 2, 20))...)
	if want := (event.Place{NetNS: 1, IfIndex: 10}); got[len(got)-1] != want {
		t.Errorf("came from %v, want %v", got[len(got)-1], want)
	}
}
