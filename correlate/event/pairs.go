// SPDX-License-Identifier: Apache-2.0

package event

// pairDepth is how many driver calls of one CPU, one in the other, are remembered.
const pairDepth = 8

// Pairs infers [Paired] and Event.Peer for events from a source that does not have them:
// the paper's listings, and recordings that an earlier dwell made. The zero value is ready.
//
// The driver of a pair hands a packet to the other end, by netif_rx, in the call with which
// it is given the packet. So a packet that arrives on another device in such a call came
// through a pair, whose ends then stay known. That is a guess. It is right in the paper's
// set-ups, where all other virtual devices are bridges and tunnels: a bridge delivers
// without an arrival, and what leaves a tunnel does so in no call. It is wrong for a macvlan
// device in bridge mode.
type Pairs struct {
	calls map[uint16][]driverCall // by CPU
	peers map[Place]Place
}

// driverCall is from net_dev_start_xmit to net_dev_xmit.
type driverCall struct {
	at  Place
	skb uint64
}

// Infer sets Paired and Peer if the event is an inbound one on an end of a pair. It must be
// given all events in their order.
func (p *Pairs) Infer(ev *Event) {
	at := Place{NetNS: ev.NetNS, IfIndex: ev.IfIndex}
	calls := p.calls[ev.CPU]
	switch {
	case ev.Hook == NetDevStartXmit:
		if p.calls == nil {
			p.calls, p.peers = map[uint16][]driverCall{}, map[Place]Place{}
		}
		if len(calls) == pairDepth { // left behind by ends that were not seen
			calls = nil
		}
		p.calls[ev.CPU] = append(calls, driverCall{at, ev.SKB})
	case ev.Hook == NetDevXmit:
		p.returned(ev.CPU, driverCall{at, ev.SKB})
	case ev.Hook == NetifRx && len(calls) > 0:
		if c := calls[len(calls)-1]; c.skb == ev.SKB && c.at != at && at.IfIndex != 0 {
			p.peers[at], p.peers[c.at] = c.at, at
		}
	}
	if peer, paired := p.peers[at]; paired && ev.Hook.Inbound() {
		ev.Flags |= Paired
		ev.Peer = peer
	}
}

// returned forgets a call that has ended, and those in it whose end was not seen. In the
// paper's listings, the end is at the device that the packet arrived on meanwhile.
func (p *Pairs) returned(cpu uint16, ended driverCall) {
	calls := p.calls[cpu]
	for i := len(calls) - 1; i >= 0; i-- {
		if calls[i] == ended {
			p.calls[cpu] = calls[:i]
			return
		}
	}
	if n := len(calls); n > 0 && calls[n-1].skb == ended.skb {
		p.calls[cpu] = calls[:n-1]
	}
}
