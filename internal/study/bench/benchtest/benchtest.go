// SPDX-License-Identifier: Apache-2.0

// Package benchtest makes traces by hand, for tests of what is made of them.
package benchtest

import (
	"encoding/binary"
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Node is a span with all below it. The duration of a node with children is theirs.
type Node struct {
	Kind     trace.Kind
	Device   string
	Peer     string
	Bridge   string
	NetNS    uint32
	NS       int64
	Children []Node
}

// Roles are the lab's names for the namespaces 1 to 3.
func Roles() map[uint32]string { return map[uint32]string{1: "guest", 2: "hypervisor", 3: "outside"} }

// Trace makes a complete ping of a request and a reply that consist of the nodes.
func Trace(id, seq uint16, request, reply []Node) *trace.Trace {
	b := builder{t: &trace.Trace{Sent: true, Outcome: trace.Complete, Ping: trace.Ping{
		Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("203.0.113.8"), ID: id, Seq: seq, PayloadLen: 56,
	}}}
	binary.BigEndian.PutUint16(b.t.ID[:], seq)
	b.add(trace.NoParent, Node{Kind: trace.KindPing, NetNS: 1, Children: []Node{
		{Kind: trace.KindRequest, NetNS: 1, Children: request},
		{Kind: trace.KindReply, NetNS: 3, Children: reply},
	}})
	return b.t
}

// Way is a request through a bridge and a hypervisor, and Back its reply. Every
// duration is a multiple of ns.
func Way(ns int64) []Node {
	return []Node{
		{Kind: trace.KindTransmit, Device: "guest0", NetNS: 1, NS: 2 * ns},
		{Kind: trace.KindLink, Device: "guest0", Peer: "port0", Bridge: "br", NetNS: 1, NS: 3 * ns},
		{Kind: trace.KindDevice, Device: "port0", Bridge: "br", NetNS: 2, Children: []Node{
			{Kind: trace.KindBridge, Device: "port0", Bridge: "br", NetNS: 2, NS: 5 * ns},
			{Kind: trace.KindTransmit, Device: "port1", NetNS: 2, NS: ns},
		}},
		{Kind: trace.KindHypervisor, Device: "port1", NetNS: 2, Children: []Node{
			{Kind: trace.KindForward, Device: "port1", NetNS: 2, NS: 11 * ns},
			{Kind: trace.KindTransmit, Device: "ens3", NetNS: 2, NS: ns},
		}},
		{Kind: trace.KindLink, Device: "ens3", Peer: "outside0", NetNS: 2, NS: ns},
		{Kind: trace.KindDeliver, Device: "outside0", NetNS: 3, NS: 7 * ns},
	}
}

// Back is the reply to [Way].
func Back(ns int64) []Node {
	return []Node{
		{Kind: trace.KindTransmit, Device: "outside0", NetNS: 3, NS: ns},
		{Kind: trace.KindLink, Device: "outside0", Peer: "ens3", NetNS: 3, NS: ns},
		{Kind: trace.KindHypervisor, Device: "ens3", NetNS: 2, Children: []Node{
			{Kind: trace.KindForward, Device: "ens3", NetNS: 2, NS: 4 * ns},
			{Kind: trace.KindTransmit, Device: "port1", NetNS: 2, NS: ns},
		}},
		{Kind: trace.KindDeliver, Device: "guest0", NetNS: 1, NS: 13 * ns},
	}
}

// builder lays spans one after the other.
type builder struct {
	t   *trace.Trace
	now int64
}

func (b *builder) add(parent int, n Node) {
	ns := &trace.NetNS{Inode: n.NetNS, Name: "test-mode-" + Roles()[n.NetNS], Hypervisor: n.NetNS == 2}
	s := trace.Span{
		Kind: n.Kind, Leaf: len(n.Children) == 0, Start: b.now, NetNS: ns,
		Inner: n.Kind == trace.KindTransmit && n.NetNS == 2,
	}
	binary.BigEndian.PutUint32(s.ID[4:], uint32(len(b.t.Spans))+1)
	if n.Device != "" {
		s.Device = &trace.Device{NetNS: ns, Name: n.Device, Bridge: n.Bridge}
	}
	if n.Peer != "" {
		s.Peer = &trace.Device{NetNS: ns, Name: n.Peer}
	}
	at := b.t.Add(parent, s)
	for _, child := range n.Children {
		b.add(at, child)
	}
	if len(n.Children) == 0 {
		b.now += n.NS
	}
	b.t.Spans[at].End = b.now
}
