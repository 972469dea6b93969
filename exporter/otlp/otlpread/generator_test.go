// SPDX-License-Identifier: Apache-2.0

package otlpread_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/dwelltrace/dwell/correlate/trace"
)

// begin is where made-up traces start, in nanoseconds since the epoch.
const begin = int64(1_767_225_600_000_000_000)

// grower makes a trace of any shape that package trace allows.
type grower struct {
	t     *rapid.T
	trace *trace.Trace
	nets  []*trace.NetNS
}

func anyTrace(t *rapid.T) *trace.Trace {
	g := &grower{t: t, trace: &trace.Trace{
		ID:      trace.ID{0: 1, 15: rapid.Byte().Draw(t, "id")},
		Ping:    trace.Ping{ID: rapid.Uint16().Draw(t, "icmp id"), Seq: rapid.Uint16().Draw(t, "seq"), PayloadLen: rapid.IntRange(-1, 9000).Draw(t, "payload")},
		Outcome: rapid.SampledFrom(trace.Outcomes()).Draw(t, "outcome"),
		Local:   rapid.Bool().Draw(t, "local"), Duplicates: rapid.IntRange(0, 2).Draw(t, "duplicates"),
		State: rapid.SampledFrom([]string{"", "ot=th:8"}).Draw(t, "state"),
	}}
	if g.trace.Outcome == trace.Incomplete {
		g.trace.Cause = rapid.SampledFrom(trace.Causes()).Draw(t, "cause")
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "namespaces") {
		g.nets = append(g.nets, g.netns(i))
	}
	g.root()
	return g.trace
}

func (g *grower) netns(i int) *trace.NetNS {
	ns := &trace.NetNS{Inode: uint32(i), Name: g.name("netns"), Hypervisor: rapid.Bool().Draw(g.t, "hypervisor")}
	if rapid.Bool().Draw(g.t, "contained") {
		ns.Container = &trace.Container{ID: "4f", Name: g.name("container"), Pod: trace.Pod{UID: "7"}}
	}
	ns.Tenant = rapid.SampledFrom([]string{"", "", "red"}).Draw(g.t, "owner")
	return ns
}

func (g *grower) name(label string) string {
	return rapid.SampledFrom([]string{"eth0", "br0", "", "客户机", "\x1b[2J\"\\", "a b -> c", "ping", "queue eth0"}).Draw(g.t, label)
}

func (g *grower) packet() *trace.Packet {
	if rapid.IntRange(0, 9).Draw(g.t, "addresses") == 0 {
		return nil
	}
	p := &trace.Packet{}
	p.Src, p.Dst = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.8")
	if rapid.Bool().Draw(g.t, "IPv6") {
		p.Src, p.Dst = netip.MustParseAddr("2001:db8::1"), netip.Addr{}
	}
	if rapid.Bool().Draw(g.t, "tunnel") {
		p.Tunnel, p.TunnelID, p.Depth = "vxlan", 42, uint8(rapid.IntRange(1, 3).Draw(g.t, "depth"))
		if rapid.Bool().Draw(g.t, "outer") {
			p.OuterSrc, p.OuterDst = p.Src, netip.MustParseAddr("198.51.100.1")
		}
	}
	return p
}

// root adds the root and the journeys.
func (g *grower) root() {
	p := g.packet()
	if p != nil {
		p = &trace.Packet{Src: p.Src, Dst: p.Dst}
	}
	g.trace.Ping.Src, g.trace.Ping.Dst = p.Addresses()
	s := trace.Span{Kind: trace.KindPing, NetNS: g.nets[0], Start: begin, End: begin + 1_000, Packet: p}
	if g.trace.Outcome == trace.Dropped {
		s.Error = "NETFILTER_DROP"
		g.trace.DropReason = s.Error
	}
	if rapid.Bool().Draw(g.t, "remote") {
		g.trace.Remote = trace.SpanID{0: 0xee}
	}
	at := g.add(trace.NoParent, s)
	request, reply := rapid.Bool().Draw(g.t, "request"), rapid.Bool().Draw(g.t, "reply")
	if request {
		g.journey(at, trace.KindRequest, 0)
	}
	if request && reply && rapid.Bool().Draw(g.t, "turn") {
		g.leaf(at, trace.KindBeyond, begin+400, begin+500)
	}
	if reply {
		g.journey(at, trace.KindReply, 0)
	}
	for n := 1; request && n <= rapid.IntRange(0, 2).Draw(g.t, "copies"); n++ {
		g.journey(at, trace.KindRequest, n)
	}
	for n := 1; reply && n <= rapid.IntRange(0, 2).Draw(g.t, "more replies"); n++ {
		g.journey(at, trace.KindReply, n)
	}
	g.trace.Sent = request && g.trace.Remote == trace.SpanID{}
}

// journey adds one. Further ones begin in order of their numbers.
func (g *grower) journey(root int, kind trace.Kind, n int) {
	s := trace.Span{Kind: kind, Start: begin + int64(n)*100, NetNS: g.pick(), Packet: g.packet()}
	if n > 0 {
		s.Title = fmt.Sprintf("%s (duplicate %d)", kind, n)
	}
	at := g.add(root, s)
	g.trace.Spans[at].End = g.tile(at, s.Start, 2)
}

func (g *grower) pick() *trace.NetNS { return rapid.SampledFrom(g.nets).Draw(g.t, "namespace") }

// tile adds children that follow each other, and returns when the last ends.
func (g *grower) tile(parent int, now int64, levels int) int64 {
	for range rapid.IntRange(1, 4).Draw(g.t, "children") {
		end := now + rapid.Int64Range(1, 50).Draw(g.t, "dwell")
		if levels > 0 && rapid.Bool().Draw(g.t, "divided") {
			kind := rapid.SampledFrom([]trace.Kind{trace.KindHypervisor, trace.KindDevice, trace.KindDeliver}).Draw(g.t, "around")
			at := g.leaf(parent, kind, now, end)
			g.trace.Spans[at].Leaf = false
			end = g.tile(at, now, levels-1)
			g.trace.Spans[at].End = end
		} else {
			g.leaf(parent, rapid.SampledFrom(trace.Kinds()[trace.KindTransmit-1:]).Draw(g.t, "kind"), now, end)
		}
		now = end
	}
	return now
}

func (g *grower) leaf(parent int, kind trace.Kind, start, end int64) int {
	s := trace.Span{Kind: kind, Start: start, End: end, NetNS: g.pick(), Leaf: true, Packet: g.packet()}
	s.Inner = g.trace.Spans[parent].Kind != trace.KindPing && !g.trace.Spans[parent].Kind.Journey()
	if rapid.IntRange(0, 4).Draw(g.t, "device") > 0 || kind == trace.KindTransmit {
		s.Device = &trace.Device{NetNS: s.NetNS, Name: g.name("device"), Bridge: g.name("bridge"), Tenant: s.NetNS.Tenant}
	}
	if rapid.IntRange(0, 3).Draw(g.t, "peer") == 0 {
		s.Peer = &trace.Device{NetNS: s.NetNS, Name: g.name("peer"), Bridge: g.name("peer's bridge"), Tenant: s.NetNS.Tenant}
	}
	if rapid.IntRange(0, 4).Draw(g.t, "titled") == 0 {
		s.Title = g.name("title")
	}
	if rapid.IntRange(0, 4).Draw(g.t, "failed") == 0 {
		s.Error = g.name("error")
	}
	for range rapid.IntRange(0, 2).Draw(g.t, "events") {
		s.Events = append(s.Events, trace.Event{Time: start, Name: g.name("event"), Attrs: []trace.Attr{
			trace.String(g.name("key"), g.name("text")), trace.Int("n", rapid.Int64().Draw(g.t, "int")),
		}})
	}
	return g.add(parent, s)
}

func (g *grower) add(parent int, s trace.Span) int {
	binary.BigEndian.PutUint32(s.ID[:], uint32(len(g.trace.Spans))+1)
	return g.trace.Add(parent, s)
}
