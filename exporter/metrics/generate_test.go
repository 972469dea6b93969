// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"encoding/binary"
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/trace"
)

var (
	guest      = &trace.NetNS{Inode: 1, Name: "guest"}
	hypervisor = &trace.NetNS{Inode: 2, Name: "hypervisor", Hypervisor: true}
	guestEnd   = &trace.Device{NetNS: guest, Index: 2, Name: "eth0"}
	port       = &trace.Device{NetNS: hypervisor, Index: 2, Name: "veth1", Bridge: "br0"}
	bridge     = &trace.Device{NetNS: hypervisor, Index: 3, Name: "br0"}
	uplink     = &trace.Device{NetNS: hypervisor, Index: 4, Name: "ens3"}
)

// node is a span to be: a leaf that lasts, or one that its children tile.
type node struct {
	kind     trace.Kind
	device   *trace.Device
	ns       int64
	children []node
	// unfinished is that of the span.
	unfinished bool
}

func leaf(k trace.Kind, d *trace.Device, ns int64) node { return node{kind: k, device: d, ns: ns} }

func parent(k trace.Kind, d *trace.Device, children ...node) node {
	return node{kind: k, device: d, children: children}
}

// cut makes a node's span one whose end was not seen.
func cut(n node) node {
	n.unfinished = true
	return n
}

// grow makes a trace of a ping sent from this host: of the journeys, and what is between,
// one after the other.
func grow(outcome trace.Outcome, children ...node) *trace.Trace {
	t := &trace.Trace{
		ID: trace.ID{15: 1}, Sent: true, Outcome: outcome,
		Ping: trace.Ping{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2")},
	}
	g := grower{t, 1_767_225_600_000_000_000}
	g.add(node{kind: trace.KindPing, device: guestEnd, children: children}, trace.NoParent)
	return t
}

type grower struct {
	t   *trace.Trace
	now int64
}

func (g *grower) add(n node, parent int) {
	s := trace.Span{Kind: n.kind, Leaf: n.children == nil, Unfinished: n.unfinished, Start: g.now}
	binary.BigEndian.PutUint64(s.ID[:], uint64(len(g.t.Spans))+1)
	if n.device != nil {
		s.NetNS = n.device.NetNS
		if n.kind != trace.KindPing && !n.kind.Journey() {
			s.Device = n.device
		}
	}
	i := g.t.Add(parent, s)
	for _, c := range n.children {
		g.add(c, i)
	}
	g.now += n.ns
	g.t.Spans[i].End = g.now
}

// thirty is a ping of 31 spans through a hypervisor whose netfilter is looked at.
func thirty() *trace.Trace {
	return grow(trace.Complete,
		parent(trace.KindRequest, guestEnd,
			leaf(trace.KindTransmit, guestEnd, 400),
			leaf(trace.KindLink, guestEnd, 3900),
			parent(trace.KindBridge, port, leaf(trace.KindSoftirq, port, 900), leaf(trace.KindStack, port, 700)),
			throughHypervisor(bridge, uplink)),
		leaf(trace.KindBeyond, uplink, 21000),
		parent(trace.KindReply, uplink,
			throughHypervisor(uplink, bridge),
			leaf(trace.KindBridge, bridge, 1100),
			leaf(trace.KindTransmit, port, 250),
			leaf(trace.KindLink, port, 2900),
			parent(trace.KindDeliver, guestEnd, leaf(trace.KindSoftirq, guestEnd, 900), leaf(trace.KindStack, guestEnd, 800))))
}

func throughHypervisor(in, out *trace.Device) node {
	return parent(trace.KindHypervisor, in,
		parent(trace.KindForward, in,
			leaf(trace.KindReceive, in, 300), leaf(trace.KindPrerouting, in, 800), leaf(trace.KindRouting, in, 500),
			leaf(trace.KindForwardChain, in, 1200), leaf(trace.KindOutgoing, in, 100),
			leaf(trace.KindPostrouting, in, 700), leaf(trace.KindNeighbour, in, 400)),
		leaf(trace.KindTransmit, out, 290), leaf(trace.KindDriver, out, 96))
}
