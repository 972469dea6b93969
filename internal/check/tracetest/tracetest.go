// SPDX-License-Identifier: Apache-2.0

// Package tracetest builds traces for the tests of the exporters: pings through
// the lab's bridge topology, each the same on every run.
//
//	guest               hypervisor                     outside
//	192.168.0.10                                       203.0.113.8
//	brovsns-ns ──────── brovsns-br ─ ovs-br ─ ens3 ─── ens3-peer
package tracetest

import (
	"net/netip"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// Start is when the ping with sequence number 0 begins, in nanoseconds since the
// epoch; each later one begins a second after the one before.
const Start int64 = 1_767_225_600_123_456_789

// The namespaces and devices of the topology.
var (
	Guest      = &trace.NetNS{Inode: 4026532201, Name: "dwell-bridge-guest"}
	Hypervisor = &trace.NetNS{Inode: 4026532202, Name: "dwell-bridge-hypervisor", Hypervisor: true}
	Outside    = &trace.NetNS{Inode: 4026532203, Name: "dwell-bridge-outside"}

	guestEnd   = &trace.Device{NetNS: Guest, Index: 2, Name: "brovsns-ns"}
	bridgePort = &trace.Device{NetNS: Hypervisor, Index: 2, Name: "brovsns-br", Bridge: "ovs-br"}
	bridge     = &trace.Device{NetNS: Hypervisor, Index: 3, Name: "ovs-br"}
	uplink     = &trace.Device{NetNS: Hypervisor, Index: 4, Name: "ens3"}
	peer       = &trace.Device{NetNS: Outside, Index: 2, Name: "ens3-peer"}

	guestAddr   = netip.MustParseAddr("192.168.0.10")
	natAddr     = netip.MustParseAddr("198.51.100.2")
	outsideAddr = netip.MustParseAddr("203.0.113.8")
)

// Complete is a ping to the outside namespace on the same host, and back.
func Complete(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToUplink()
	b.leaf(trace.KindLink, uplink, peer, 2_931)
	b.leaf(trace.KindDeliver, peer, nil, 1_204)
	b.end()
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, peer)
	b.leaf(trace.KindTransmit, peer, nil, 398)
	b.leaf(trace.KindLink, peer, uplink, 2_702)
	b.replyFromUplink()
	return b.finish(trace.Complete)
}

// Beyond is a ping that leaves this host through the uplink and comes back.
func Beyond(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToUplink()
	b.end()
	b.leaf(trace.KindBeyond, uplink, nil, 21_377)
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, uplink)
	b.replyFromUplink()
	return b.finish(trace.Complete)
}

// Dropped is a ping whose request a firewall drops in the hypervisor.
func Dropped(seq uint16) *trace.Trace {
	const reason = "NETFILTER_DROP"
	b := newBuilder(seq)
	b.requestToBridge()
	b.begin(trace.KindHypervisor, bridge)
	s := b.leaf(trace.KindForward, bridge, nil, 1_733)
	s.Error = reason
	s.Events = []trace.Event{{Time: s.End, Name: trace.EventDrop, Attrs: []trace.Attr{trace.String(trace.AttrDropReason, reason)}}}
	b.end()
	b.end()
	b.t.DropReason = reason
	return b.finish(trace.Dropped)
}

// NoReply is a ping whose request left this host and was never answered.
func NoReply(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToUplink()
	b.end()
	b.t.Cause = trace.CauseNoReply
	return b.finish(trace.Incomplete)
}

// Tunnelled is an ICMPv6 ping of which only a VXLAN tunnel packet was seen.
func Tunnelled(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.t.Ping.Src, b.t.Ping.Dst = netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8::8")
	b.packet = trace.Packet{Src: b.t.Ping.Src, Dst: b.t.Ping.Dst, OuterSrc: natAddr, OuterDst: outsideAddr, Tunnel: "vxlan", TunnelID: 42, Depth: 1}
	b.t.Root().Packet = b.share()
	b.begin(trace.KindRequest, uplink)
	b.leaf(trace.KindTransmit, uplink, nil, 310)
	b.leaf(trace.KindDriver, uplink, nil, 122)
	b.t.Cause = trace.CauseAgentStopped
	return b.finish(trace.Incomplete)
}

// Expired is a ping whose time to live runs out in the hypervisor, which answers with an
// ICMP error, as traceroute asks for.
func Expired(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToBridge()
	b.begin(trace.KindHypervisor, bridge)
	s := b.leaf(trace.KindForward, bridge, nil, 2_207)
	s.Events = []trace.Event{icmpError(s.End, 11, 0, "192.168.0.1")}
	return b.finish(trace.Expired)
}

// Unreachable is a ping that leaves this host through the uplink, and of which a router
// beyond says that the destination cannot be reached.
func Unreachable(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToUplink()
	s := &b.t.Spans[len(b.t.Spans)-1]
	s.Events = append(s.Events, icmpError(s.End, 3, 1, "198.51.100.1"))
	return b.finish(trace.Unreachable)
}

// Partial is a ping of which only the uplink was traced.
func Partial(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.packet.Src = natAddr
	b.begin(trace.KindRequest, uplink)
	b.leaf(trace.KindTransmit, uplink, nil, 301)
	b.leaf(trace.KindDriver, uplink, nil, 118)
	b.end()
	b.leaf(trace.KindBeyond, uplink, nil, 20_002)
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, uplink)
	b.leaf(trace.KindForward, uplink, nil, 907)
	return b.finish(trace.Partial)
}

// Twice is a ping that left this host through the uplink and was answered twice: the root
// ends with the second reply.
func Twice(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.requestToUplink()
	b.end()
	b.leaf(trace.KindBeyond, uplink, nil, 21_377)
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, uplink)
	b.replyFromUplink()
	b.now += 55_000
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, uplink)
	b.t.Spans[b.open[1]].Title = "echo reply (duplicate)"
	b.replyFromUplink()
	b.t.Duplicates = 1
	return b.finish(trace.Complete)
}

// Elsewhere is a ping that only passes this host: its root hangs under the root of the host
// that sent it.
func Elsewhere(seq uint16) *trace.Trace {
	b := newBuilder(seq)
	b.packet.Src = natAddr
	b.begin(trace.KindRequest, uplink)
	b.begin(trace.KindHypervisor, uplink)
	b.leaf(trace.KindForward, uplink, nil, 3_105)
	b.leaf(trace.KindTransmit, bridge, nil, 290)
	b.end()
	b.end()
	b.leaf(trace.KindBeyond, bridge, nil, 17_004)
	b.packet = trace.Packet{Src: outsideAddr, Dst: natAddr}
	b.begin(trace.KindReply, bridge)
	b.begin(trace.KindHypervisor, bridge)
	b.leaf(trace.KindForward, bridge, nil, 2_650)
	b.leaf(trace.KindTransmit, uplink, nil, 214)
	b.t.Remote = trace.SpanID{0: 0x5e, 7: byte(seq)}
	return b.finish(trace.Complete)
}

func icmpError(at int64, kind, code int64, from string) trace.Event {
	return trace.Event{Time: at, Name: trace.EventICMPError, Attrs: []trace.Attr{
		trace.Int(trace.AttrICMPErrorType, kind), trace.Int(trace.AttrICMPErrorCode, code),
		trace.String(trace.AttrSourceAddress, from),
	}}
}

// All returns one of each, with different sequence numbers.
func All() []*trace.Trace {
	return []*trace.Trace{
		Complete(1), Beyond(2), Dropped(3), NoReply(4), Tunnelled(5),
		Expired(6), Unreachable(7), Partial(8), Twice(9), Elsewhere(10),
	}
}

func (b *builder) requestToBridge() {
	b.t.Sent = true
	b.begin(trace.KindRequest, guestEnd)
	b.leaf(trace.KindTransmit, guestEnd, nil, 412)
	b.leaf(trace.KindLink, guestEnd, bridgePort, 3_918)
	s := b.leaf(trace.KindBridge, bridgePort, bridge, 1_645)
	s.Events = []trace.Event{{Time: s.Start + 700, Name: trace.EventCopy, Attrs: []trace.Attr{trace.String(trace.AttrNetworkInterface, "tenant-br")}}}
}

func (b *builder) requestToUplink() {
	b.requestToBridge()
	b.begin(trace.KindHypervisor, bridge)
	s := b.leaf(trace.KindForward, bridge, nil, 4_812)
	s.Events = []trace.Event{{Time: s.Start + 3_021, Name: trace.EventNAT, Attrs: []trace.Attr{
		trace.String(trace.AttrNATBefore, "192.168.0.10 -> 203.0.113.8 id 4711"),
		trace.String(trace.AttrNATAfter, "198.51.100.2 -> 203.0.113.8 id 4711"),
	}}}
	b.packet.Src = natAddr
	b.leaf(trace.KindTransmit, uplink, nil, 287)
	b.leaf(trace.KindDriver, uplink, nil, 96)
	b.end()
}

func (b *builder) replyFromUplink() {
	b.begin(trace.KindHypervisor, uplink)
	b.leaf(trace.KindForward, uplink, nil, 3_977)
	b.packet.Dst = guestAddr
	b.leaf(trace.KindTransmit, bridge, nil, 305)
	b.end()
	b.leaf(trace.KindBridge, bridge, bridgePort, 1_120)
	b.leaf(trace.KindTransmit, bridgePort, nil, 254)
	b.leaf(trace.KindLink, bridgePort, guestEnd, 2_866)
	b.leaf(trace.KindDeliver, guestEnd, nil, 2_049)
	b.end()
}
